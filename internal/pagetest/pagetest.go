// Package pagetest opens many pages from a process of their own, so that a
// benchmark can say what they cost the server alone.
package pagetest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Pages says which pages are opened and how far they go.
type Pages struct {
	Address string // host:port
	TLS     bool   // with whatever certificate
	Polling bool   // over plain TCP; heartbeats are not answered
	Path    string
	Query   string
	Header  string // more lines of the request, each with its CR LF
	Count   int
	// Say is what a page sends as text frames, one after the other, each when
	// what the server has sent contains the Await of the same place. In Say, %s
	// stands for the page's own of Values.
	Await, Say []string
	Values     []string
	// Until is what the server has sent when a page has arrived.
	Until string
}

const (
	variable = "BELFRY_TEST_PAGES" // is set in the process of the pages, which reads Pages as JSON
	ready    = "ready"
	patience = time.Minute
	// atOnce is how many pages are on their way at a time.
	atOnce = 16
)

// Number returns how many pages a benchmark opens: usual, or what the environment
// says in BELFRY_PAGES.
func Number(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("BELFRY_PAGES")); err == nil && n > 0 {
		return n
	}
	return usual
}

// Main has to be called first in TestMain of the packages that use Open. In the
// process of the pages it does not return.
func Main() {
	if os.Getenv(variable) == "" {
		return
	}
	var p Pages
	err := json.NewDecoder(os.Stdin).Decode(&p)
	if err == nil {
		err = p.run()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Open starts the process and returns when all pages have arrived. They stay
// until close is called.
func Open(b *testing.B, p Pages) (close func()) {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), variable+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		in.Close()
		child.Wait()
	})
	b.Cleanup(stop)
	if err := json.NewEncoder(in).Encode(p); err != nil {
		b.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != ready {
		b.Fatalf("the pages: %s", line)
	}
	return stop
}

// run opens the pages and keeps them until the standard input ends.
func (p *Pages) run() error {
	open := p.open
	if p.Polling {
		open = p.openPolling
	}
	var wait sync.WaitGroup
	places := make(chan struct{}, atOnce)
	failed := make(chan error, p.Count)
	conns := make([]net.Conn, p.Count)
	for i := range conns {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			var err error
			if conns[i], err = open(i); err != nil {
				failed <- err
			}
		})
	}
	wait.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Println(ready)
	_, err := io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
	return err
}

const request = "GET %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nOrigin: http://%[3]s\r\n" +
	"Pragma: no-cache\r\nCache-Control: no-cache\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// open opens a page as a browser would and follows its script.
func (p *Pages) open(i int) (net.Conn, error) {
	conn, err := net.Dial("tcp", p.Address)
	if err != nil {
		return nil, err
	}
	if p.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the certificate is the test's own
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, request, p.Path, p.Query, p.Address, p.Header); err != nil {
		return nil, err
	}
	var got []byte
	await := func(text string) error {
		buf := make([]byte, 4<<10)
		for !bytes.Contains(got, []byte(text)) {
			n, err := conn.Read(buf)
			if err != nil {
				return fmt.Errorf("waiting for %q after %q: %w", text, got, err)
			}
			got = append(got, buf[:n]...)
		}
		return nil
	}
	for k, text := range p.Say {
		if err := await(p.Await[k]); err != nil {
			return nil, err
		}
		if i < len(p.Values) {
			text = strings.ReplaceAll(text, "%s", p.Values[i])
		}
		if _, err := conn.Write(textFrame(text)); err != nil {
			return nil, err
		}
	}
	if err := await(p.Until); err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// textFrame encodes a masked WebSocket frame. A key of zeros leaves the payload as
// it is (RFC 6455 section 5.3).
func textFrame(text string) []byte {
	frame := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		frame = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text))}
	}
	return append(append(frame, 0, 0, 0, 0), text...)
}

// Memory is what a process has in use.
type Memory struct {
	Heap   int64 // of live objects
	Stacks int64 // of goroutines
	RSS    int64 // of the process, where the system tells; 0 elsewhere
}

// InUse collects garbage, gives free memory back, and measures.
func InUse() Memory {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what pools keep goes with the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{int64(m.HeapAlloc), int64(m.StackInuse), Resident()}
}

// Since returns what has been added since before.
func (m Memory) Since(before Memory) Memory {
	return Memory{m.Heap - before.Heap, m.Stacks - before.Stacks, m.RSS - before.RSS}
}

// Resident returns the bytes of the process that are in memory, where the system
// tells; 0 elsewhere.
func Resident() int64 {
	pages, err := residentPages()
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func residentPages() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, errors.New("pagetest: malformed statm")
	}
	return strconv.ParseInt(fields[1], 10, 64)
}

// Report reports what each of n pages has added since before. Where
// BELFRY_HEAP_PROFILE names a file it gets a profile of the heap.
func (before Memory) Report(b *testing.B, n int) {
	added := InUse().Since(before)
	per := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	b.ReportMetric(per(added.Heap), "heap-B/page")
	b.ReportMetric(per(added.Stacks), "stack-B/page")
	b.ReportMetric(per(added.Heap+added.Stacks), "B/page")
	b.ReportMetric(per(added.RSS), "rss-B/page")
	if name := os.Getenv("BELFRY_HEAP_PROFILE"); name != "" {
		if err := WriteHeapProfile(name); err != nil {
			b.Fatal(err)
		}
	}
}

// WriteHeapProfile writes a profile of the heap to a file.
func WriteHeapProfile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
