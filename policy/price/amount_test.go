package price

import "testing"

func TestText(t *testing.T) {
	t.Parallel()
	for decimal, want := range map[string]string{
		"0": "0.00 USD", "1.935651": "1.94 USD", "0.005": "0.01 USD",
		"0.0049": "0.004900 USD", "0.000002": "0.000002 USD",
	} {
		a, err := NewAmount(decimal, "USD")
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Text(); got != want {
			t.Errorf("Text of %s USD = %q, want %q", decimal, got, want)
		}
	}
	if got := UnknownAmount("USD").Text(); got != "unknown" {
		t.Errorf("Text of an unknown amount = %q", got)
	}
}
