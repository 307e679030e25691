package open

import (
	"context"
	"fmt"
	"strconv"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/file"
)

func openFile(_ context.Context, p place) (backends.Store, error) {
	if p.Class != "" && p.Class != backends.Standard {
		return nil, fmt.Errorf("class %s: a directory has no storage classes; coldsim:// simulates them: %w", p.Class, backends.ErrUnsupported)
	}
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	return file.New(dir, file.Options{})
}

func openColdsim(_ context.Context, p place) (backends.Store, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	opts := coldsim.Options{Class: p.Class}
	for key, value := range p.options {
		if err := setColdsim(&opts, key, value); err != nil {
			return nil, err
		}
	}
	return coldsim.New(dir, opts)
}

func setColdsim(o *coldsim.Options, key, value string) error {
	var err error
	ok := true
	switch key {
	case "speedup":
		o.Speedup, err = strconv.ParseInt(value, 10, 64)
		ok = o.Speedup >= 1
	case "seed":
		o.Seed, err = strconv.ParseInt(value, 10, 64)
	case "rate":
		o.Rate, err = strconv.ParseFloat(value, 64)
		ok = o.Rate > 0 && o.Rate < 1e9
	case "expedited":
		o.RefuseExpedited = value == "refuse"
		ok = value == "refuse" || value == "accept"
	}
	if err != nil || !ok {
		return fmt.Errorf("option %s=%q: %s", key, value, wants(key))
	}
	return nil
}

// wants says what an option of coldsim may be.
func wants(key string) string {
	switch key {
	case "speedup":
		return "want a whole number of at least 1"
	case "seed":
		return "want a whole number"
	case "rate":
		return "want a number of thaw requests per second, above 0"
	}
	return "want accept or refuse"
}
