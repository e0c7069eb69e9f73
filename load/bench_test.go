package load

import (
	"fmt"
	"testing"
)

// A deafWire takes what is written and does nothing with it.
type deafWire struct{}

func (deafWire) Write([]byte) error { return nil }
func (deafWire) Close()             {}

// BenchmarkFeed is what a delivery costs the generator beside its system calls: a read that holds one
// frame, or eight that the server has joined.
func BenchmarkFeed(b *testing.B) {
	for _, frames := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d frames", frames), func(b *testing.B) {
			r, err := newRun(Options{
				URL: "http://127.0.0.1:1", Push: "http://127.0.0.1:1", Scenario: Fanout, Pages: 1000, Callers: frames, Verify: true,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(r.close)
			sessions := make([]*session, len(r.pages))
			for i, p := range r.pages {
				sessions[i] = &session{page: p, mode: modeFrames, wire: deafWire{}}
				p.session, p.state = sessions[i], pageOpen
				p.witness.welcome()
			}
			r.to.Store(never)
			r.from.Store(0)
			var read []byte
			for done := 0; b.Loop(); done++ {
				if done%len(sessions) == 0 { // all pages have the publications: the next ones
					b.StopTimer()
					read = read[:0]
					for lane, s := range r.companies[0].streams {
						seq := s.next()
						stamp := string(stamp{kind: 'c', lane: lane, seq: seq, at: r.now()}.append(nil, r.marker))
						text := `42["update_dynamic",{"companyID":"bench-0","objectType":"4","objectID":"1","title":"` + stamp + `","content":"` + string(r.content) + `"}]`
						read = append(read, serverFrame(0x80|opText, text)...)
					}
					b.StartTimer()
				}
				sessions[done%len(sessions)].feed(read)
			}
			if faults := r.faults.total(); faults > 0 {
				b.Fatalf("%d faults", faults)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/delivery")
		})
	}
}
