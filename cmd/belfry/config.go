package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// A fileSettings resolves flags from a YAML file. Keys are the names of flags,
// with _ or - between words; the part of a name before a dot is a section:
//
//	push_listen: 127.0.0.1:2121
//	auth:
//	  insecure_login: loopback
type fileSettings struct {
	values map[string]any // by flag name
}

var _ kong.Resolver = (*fileSettings)(nil)

// loadYAML is a kong.ConfigurationLoader.
func loadYAML(r io.Reader) (kong.Resolver, error) {
	var root map[string]any
	dec := yaml.NewDecoder(r)
	if err := dec.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("configuration file: more than one YAML document")
	}
	f := &fileSettings{values: make(map[string]any)}
	f.flatten("", root)
	return f, nil
}

func (f *fileSettings) flatten(section string, values map[string]any) {
	for key, value := range values {
		name := section + strings.ReplaceAll(key, "_", "-")
		if nested, ok := value.(map[string]any); ok {
			f.flatten(name+".", nested)
			continue
		}
		f.values[name] = value
	}
}

// Validate implements [kong.Resolver]: a key that is no flag is an error.
func (f *fileSettings) Validate(app *kong.Application) error {
	known, sections := map[string]bool{}, map[string]bool{}
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
			if section, _, found := strings.Cut(flag.Name, "."); found {
				sections[section] = true
			}
		}
		return next(nil)
	})
	if err != nil {
		return err
	}
	var unknown []string
	for name, value := range f.values {
		emptySection := value == nil && sections[name]
		if !known[name] && !emptySection {
			unknown = append(unknown, strings.ReplaceAll(name, "-", "_"))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("configuration file: unknown key %s", strings.Join(unknown, ", "))
	}
	return nil
}

// Resolve implements [kong.Resolver]. The environment wins over the file.
func (f *fileSettings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	value, ok := f.values[flag.Name]
	if !ok || value == nil {
		return nil, nil
	}
	if list, ok := value.([]any); ok {
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, ","), nil
	}
	return fmt.Sprint(value), nil
}
