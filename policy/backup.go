package policy

import (
	"fmt"
	"reflect"
	"time"
)

// Backup says what `isotherm backup` backs up, and how.
type Backup struct {
	// Source is the directory to back up. Default: the one that the command
	// names.
	Source string `yaml:"source"`
	// VolumeSize is the size of volumes as stored. Default: 200MiB.
	VolumeSize int64 `yaml:"volume_size" unit:"size"`
	// Compression is the level of compression: fast, default, best or none.
	// Default: default.
	Compression string `yaml:"compression" jsonschema:"enum=fast,enum=default,enum=best,enum=none"`
	// FullIfOlderThan is the age of the newest full set at which another one is
	// made. Default: never.
	FullIfOlderThan time.Duration `yaml:"full_if_older_than"`
	// MaxChainThaw is how much a restore from one chain may have to read; above
	// it, another full set is made. Default: no limit.
	MaxChainThaw int64 `yaml:"max_chain_thaw" unit:"size"`
	// ExcludeDeviceFiles leaves out device files.
	ExcludeDeviceFiles bool `yaml:"exclude_device_files"`
	// ExcludeOtherFilesystems leaves out what is on another file system than the
	// source.
	ExcludeOtherFilesystems bool `yaml:"exclude_other_filesystems"`
	// Select are rules of which the first that fits a path decides, as with
	// duplicity's options of the same names.
	Select []Selector `yaml:"select"`
}

// Selector is one rule; it has exactly one key.
type Selector struct {
	// Include is a pattern of paths that are backed up.
	Include string `yaml:"include"`
	// Exclude is a pattern of paths that are left out.
	Exclude string `yaml:"exclude"`
	// IncludeRegexp is a regular expression, as Python's, of paths that are backed up.
	IncludeRegexp string `yaml:"include_regexp"`
	// ExcludeRegexp is a regular expression, as Python's, of paths that are left out.
	ExcludeRegexp string `yaml:"exclude_regexp"`
	// IncludeFilelist names a file of patterns, one a line.
	IncludeFilelist string `yaml:"include_filelist"`
	// ExcludeFilelist names a file of patterns, one a line.
	ExcludeFilelist string `yaml:"exclude_filelist"`
	// ExcludeIfPresent is the name of an entry by which a directory is left out.
	ExcludeIfPresent string `yaml:"exclude_if_present"`
	// ExcludeOlderThan is the time before which files left out were last changed.
	ExcludeOlderThan string `yaml:"exclude_older_than"`
	// ExcludeLargerThan is the size above which files are left out.
	ExcludeLargerThan string `yaml:"exclude_larger_than"`
}

// Option returns the rule's one key, and its value.
func (s Selector) Option() (key, value string) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if text := v.Field(i).String(); text != "" {
			return v.Type().Field(i).Tag.Get("yaml"), text
		}
	}
	return "", ""
}

func (c *checker) checkBackup() {
	b := &c.policy.Backup
	if c.given("backup.volume_size") && b.VolumeSize < 1<<20 {
		c.wrong("backup.volume_size", "write 1MiB or more", "backup.volume_size is %s: such small volumes cost more than they hold", FormatSize(b.VolumeSize))
	}
	for i, s := range b.Select {
		path := fmt.Sprintf("backup.select[%d]", i)
		n := 0
		for v, j := reflect.ValueOf(s), 0; j < v.NumField(); j++ {
			if v.Field(j).String() != "" {
				n++
			}
		}
		if n != 1 {
			c.wrong(path, "write one rule for each, as in `- exclude: \"**/.cache\"`", "%s has %d rules: which comes first decides", path, n)
		}
	}
}
