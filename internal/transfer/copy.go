package transfer

import (
	"context"
	"fmt"
	"slices"
)

// pageSize is how many records are read and written at once.
const pageSize = 1000

// A Reporter is told what a copy does. It is called by one goroutine.
type Reporter interface {
	// Begin says that a phase begins: "copying" or "comparing" a kind, with about how many records to go.
	Begin(phase string, kind Kind, records int64)
	// Add says that so many more are done.
	Add(records int)
	// End says that the phase is over, with the sum of the kind after comparing.
	End(sum Sum)
}

// Copy copies all that source keeps into target, which is empty or the target of an earlier call with the
// same source that was not finished: then it goes on where that was. At the end it reads both, and
// fails where they differ.
func Copy(ctx context.Context, source, target Store, report Reporter) error {
	p, err := begin(ctx, source, target)
	if err != nil {
		return err
	}
	for _, kind := range Kinds[slices.Index(Kinds, p.Kind):] {
		if kind != p.Kind {
			p.Kind, p.After = kind, ""
		}
		if err := copyKind(ctx, source, target, &p, report); err != nil {
			return fmt.Errorf("copying %s: %w", kind, err)
		}
	}
	if err := target.Settle(ctx, p.State); err != nil {
		return err
	}
	if err := compare(ctx, source, target, report); err != nil {
		return err
	}
	if err := unchanged(ctx, source, p.State); err != nil {
		return err
	}
	return target.Finish(ctx)
}

// begin returns where to go on.
func begin(ctx context.Context, source, target Store) (Progress, error) {
	if source.Name() == target.Name() {
		return Progress{}, fmt.Errorf("source and target are the same: %s", source.Name())
	}
	if p, unfinished, err := source.Progress(ctx); err != nil {
		return Progress{}, err
	} else if unfinished {
		return Progress{}, fmt.Errorf("the source %s is itself the target of an unfinished migration from %s: finish that first", source.Name(), p.Source)
	}
	p, unfinished, err := target.Progress(ctx)
	switch {
	case err != nil:
		return p, err
	case unfinished && p.Source != source.Name():
		return p, fmt.Errorf("the target %s has an unfinished migration from %s: finish that, or %s", target.Name(), p.Source, anew)
	case unfinished && !slices.Contains(Kinds, p.Kind):
		return p, fmt.Errorf("another version of belfry has begun the migration, which copied %q: go on with that, or %s", p.Kind, anew)
	case unfinished:
		return p, unchanged(ctx, source, p.State)
	}
	for _, kind := range Kinds {
		n, err := target.Count(ctx, kind)
		if err != nil {
			return p, err
		}
		if n > 0 {
			return p, fmt.Errorf("the target %s is not empty, it has %s: name an empty one; what is in two stores cannot be joined", target.Name(), kind)
		}
	}
	state, err := source.State(ctx)
	if err != nil {
		return p, err
	}
	p = Progress{Source: source.Name(), State: state, Kind: Kinds[0]}
	return p, target.Write(ctx, p.Kind, nil, p)
}

// anew is what to do where a migration cannot go on.
const anew = "delete what the target has and begin anew"

func unchanged(ctx context.Context, source Store, state State) error {
	now, err := source.State(ctx)
	if err == nil && now != state {
		err = fmt.Errorf("the source %s has changed since the migration began: stop every belfry that uses it, then %s", source.Name(), anew)
	}
	return err
}

func copyKind(ctx context.Context, source, target Store, p *Progress, report Reporter) error {
	records, err := source.Count(ctx, p.Kind)
	if err != nil {
		return err
	}
	if p.After != "" {
		done, err := target.Count(ctx, p.Kind)
		if err != nil {
			return err
		}
		records = max(0, records-done)
	}
	report.Begin("copying", p.Kind, records)
	err = each(ctx, source, p.Kind, p.After, func(records []Record, next string) error {
		at := *p
		if at.After = next; next == "" { // of the last page
			at.After = p.After
		}
		if err := target.Write(ctx, p.Kind, records, at); err != nil {
			return err
		}
		*p = at
		report.Add(len(records))
		return nil
	})
	if err == nil {
		report.End(Sum{})
	}
	return err
}

// compare reads both stores and fails where they differ.
func compare(ctx context.Context, source, target Store, report Reporter) error {
	for _, kind := range Kinds {
		var total int64
		for _, s := range []Store{source, target} {
			n, err := s.Count(ctx, kind)
			if err != nil {
				return err
			}
			total += n
		}
		report.Begin("comparing", kind, total)
		want, err := SumOf(ctx, source, kind, report.Add)
		if err != nil {
			return err
		}
		got, err := SumOf(ctx, target, kind, report.Add)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("the %s of source and target differ: %v, and %v. If nothing has changed either meanwhile, this is a defect of belfry; if something has, %s",
				kind, want, got, anew)
		}
		report.End(got)
	}
	return nil
}

// each reads records of a kind page by page.
func each(ctx context.Context, s Store, kind Kind, after string, f func(records []Record, next string) error) error {
	for {
		records, next, err := s.Read(ctx, kind, after, pageSize)
		if err != nil {
			return err
		}
		if err := f(records, next); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		after = next
	}
}
