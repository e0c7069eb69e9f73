package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/bench/result"
	"belfry/load"
)

// compared are three rounds of two loads on two peers. What belfry does in a round is 1,000,000
// deliveries a second, more by a tenth in each.
func compared() *comparison {
	var runs []result.Run
	for round := 1; round <= 3; round++ {
		for peer, rate := range map[string]float64{"belfry": 1_000_000, "socketio": 84_000} {
			rate *= 1 + float64(round-1)/10
			runs = append(runs, result.Run{Peer: peer, Load: "fanout-1000-ahead", Round: round, Command: "belfry bench fanout", Report: &load.Report{
				Scenario: load.Fanout, Pages: 1000, Deliveries: load.DeliveryReport{PerSecond: rate},
				Server: &load.ServerReport{CPUPerMillion: 1e6 / rate, CPUCores: 0.8}, Generator: &load.GeneratorReport{CPUCores: rate / 1_100_000},
			}}, result.Run{Peer: peer, Load: "idle-10000", Round: round, Command: "belfry bench idle", Report: &load.Report{
				Scenario: load.Idle, Pages: 10_000,
				Server: &load.ServerReport{MemoryBefore: 20_000_000, MemoryBusy: 20_000_000 + int64(1e13/rate)}, Generator: &load.GeneratorReport{},
			}})
		}
	}
	return newComparison(result.Machine{Date: "2026-01-02T03:04:05Z", Rounds: 3, Versions: map[string]string{"socketio": "4.8"}}, runs)
}

func TestTheTableHasTheMediansAndTheBestInBold(t *testing.T) {
	text := string(compared().markdown())
	for _, want := range []string{
		"| belfry | **1,100,000†** (0.91) | **909** |",
		"| Socket.IO 4.8 | 92,400 (10.8) | 10,800 |",
		"| 1,100,000† | 1,000,000 to 1,200,000 |",
		"the load generator's core was full",
		"Nothing was lost",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestWhatWentWrongIsSaid(t *testing.T) {
	c := compared()
	for i := range c.runs {
		if r := &c.runs[i]; r.Peer == "socketio" && r.Round == 2 && r.Load == "fanout-1000-ahead" {
			r.Report.Verify = &load.VerifyReport{Faults: 3}
		}
	}
	text := string(newComparison(c.machine, c.runs).markdown())
	if !strings.Contains(text, "* Socket.IO, fan-out, 1,000 pages, 8 ahead, round 2: 3 faults") || strings.Contains(text, "Nothing was lost") {
		t.Error(text)
	}
}

func TestThePlotsAreWellFormedAndNameEveryPeer(t *testing.T) {
	c := compared()
	for name, plot := range map[string][]byte{"rates": c.rates(), "costs": c.costs()} {
		for _, peer := range c.peers {
			if !bytes.Contains(plot, []byte(">"+titles[peer]+"<")) {
				t.Errorf("%s: %s is not in it", name, peer)
			}
		}
		for d := xml.NewDecoder(bytes.NewReader(plot)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestTheTablesReplaceThoseBeforeThemAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := compared()
	for range 2 {
		if err := c.insert(path); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if want := "before\n" + beginMark + string(c.markdown()) + endMark + "after\n"; err != nil || string(got) != want {
			t.Errorf("%v, got\n%s", err, got)
		}
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c.insert(path) == nil {
		t.Error("a document without a place for the tables is no error")
	}
}

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	c := compared()
	var file bytes.Buffer
	w, err := result.NewWriter(&file, c.machine)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.runs {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	m, runs, err := result.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if again := newComparison(m, runs); !bytes.Equal(again.markdown(), c.markdown()) {
		t.Errorf("the text is\n%s\nwant\n%s", again.markdown(), c.markdown())
	}
	if _, _, err := result.Read(strings.NewReader("{}\n")); err == nil {
		t.Error("a line that holds nothing is no error")
	}
}

func TestNumbersAreRoundedToThreeDigits(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 7.6: "8", 999.4: "999", 999.9: "1,000", 1234: "1,230", 84_260: "84,300", 1_223_499: "1,220,000"} {
		if got := rounded(in); got != want {
			t.Errorf("rounded(%v) = %s, want %s", in, got, want)
		}
	}
}
