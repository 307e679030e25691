package policy

import (
	"strings"
	"testing"
)

// TestTemplate: the policy that init writes loads without findings, whatever
// the folder's name is, once its variables are set.
func TestTemplate(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "backup", "photos": "photos", "My Photos (2024)": "My-Photos-2024", "../x": "x", "null": "null", "2024": "2024",
		"Größe": "Gr-e", "...": "backup", strings.Repeat("x", 300): "backup",
	} {
		p := load(t, string(Template(TemplateOptions{Archive: name})))
		if p.Archive != want || len(p.Warnings) > 0 {
			t.Errorf("Template for %q is archive %q with warnings %v", name, p.Archive, p.Warnings)
		}
	}
	_, err := Parse(Template(TemplateOptions{}), "isotherm.yaml", nil)
	if err == nil || strings.Count(err.Error(), "is not set") != 3 {
		t.Errorf("without its variables: %v", err)
	}
}

// TestTemplateComments: the settings which are commented out load as well.
func TestTemplateComments(t *testing.T) {
	t.Parallel()
	var lines []string
	for line := range strings.Lines(string(Template(TemplateOptions{}))) {
		body := strings.TrimLeft(line, " ")
		rest, commented := strings.CutPrefix(body, "# ")
		word, _, isKey := strings.Cut(rest, ":")
		if commented && isKey && !strings.Contains(word, " ") && word != "encryption" || strings.HasPrefix(rest, "- {") {
			line = strings.Repeat(" ", len(line)-len(body)) + rest
		}
		lines = append(lines, line)
	}
	p := load(t, strings.Join(lines, ""))
	if p.Thaw.Speed != "bulk" || len(p.Stores) != 5 || len(p.Routes) != 5 || p.Prefixes.Volume == "" {
		t.Errorf("got %+v", p)
	}
}
