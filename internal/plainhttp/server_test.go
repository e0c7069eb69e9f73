package plainhttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const patience = time.Minute

// A both answers a request by saying what it was, as a plain one or as any other.
type both struct {
	*Server
	address string
	plain   atomic.Int64 // requests that were answered as plain ones
	other   atomic.Int64
	ran     chan error
}

func start(t testing.TB, serve func(*Response, *Request)) *both {
	t.Helper()
	b := &both{ran: make(chan error, 1)}
	if serve == nil {
		serve = func(w *Response, r *Request) {
			w.Header("X-Plain", "yes")
			w.Body(describe(r.Method, string(r.Query), string(r.Host), string(r.ContentType), string(r.Authorization), string(r.Body)))
		}
	}
	b.Server = &Server{
		Serve: func(w *Response, r *Request) {
			b.plain.Add(1)
			serve(w, r)
		},
		Logger: slog.New(slog.DiscardHandler),
		Other: &http.Server{ReadTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: maxHead, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.other.Add(1)
			if r.URL.Path != "/" {
				http.NotFound(w, r)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			io.WriteString(w, describe(r.Method, r.URL.RawQuery, r.Host, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)))
		})},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = l.Addr().String()
	go func() { b.ran <- b.Run(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-b.ran; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return b
}

func describe(method, query, host, contentType, authorization, body string) string {
	return fmt.Sprintf("%s %q %q %q %q %q", method, query, host, contentType, authorization, body)
}

func (b *both) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// answers reads answers until the connection ends or n have come.
func answers(t testing.TB, c net.Conn, n int) (bodies []string) {
	t.Helper()
	r := bufio.NewReader(c)
	for range n {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %q: %v", bodies, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			body = []byte(res.Status)
		}
		if date, err := http.ParseTime(res.Header.Get("Date")); res.StatusCode < 400 && (err != nil || time.Since(date).Abs() > time.Hour) {
			t.Errorf("date %q", res.Header.Get("Date"))
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

func TestRequestsOfAnyKindOnOneConnection(t *testing.T) {
	const get = "GET /?a=b%20c HTTP/1.1\r\nHost: h:1\r\n\r\n"
	const post = "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer  x\r\nContent-Type: text/plain\r\ncontent-length:  3 \r\nConnection: Keep-Alive\r\n\r\nabc"
	for _, c := range []struct {
		name, sent string
		answers    []string
		plain      int64
	}{
		{"a GET", get, []string{`GET "a=b%20c" "h:1" "" "" ""`}, 1},
		{"a POST", post, []string{`POST "" "h" "text/plain" "Bearer  x" "abc"`}, 1},
		{"a POST without a body", "POST /? HTTP/1.1\r\nHost: h\r\n\r\n", []string{`POST "" "h" "" "" ""`}, 1},
		{"many in one go", get + post + get, []string{`GET "a=b%20c" "h:1" "" "" ""`, `POST "" "h" "text/plain" "Bearer  x" "abc"`, `GET "a=b%20c" "h:1" "" "" ""`}, 3},
		{"one that is not plain, and then a plain one", "GET / HTTP/1.1\r\nHost: h\r\nX-Any: 1\r\n\r\n" + get, []string{`GET "" "h" "" "" ""`, `GET "a=b%20c" "h:1" "" "" ""`}, 0},
		{"chunks", get + "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", []string{`GET "a=b%20c" "h:1" "" "" ""`, `POST "" "h" "" "" "abc"`}, 1},
		{"another path", "GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n", []string{"404 Not Found"}, 0},
		{"no host", "GET / HTTP/1.1\r\n\r\n", []string{"400 Bad Request: missing required Host header"}, 0},
		{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", []string{"400 Bad Request"}, 0},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", []string{`GET "" "" "" "" ""`}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for pieces := range 2 {
				b := start(t, nil)
				conn := b.dial(t)
				if sent := []byte(c.sent); pieces == 0 {
					conn.Write(sent)
				} else {
					for i := range sent {
						conn.Write(sent[i : i+1])
					}
				}
				got := answers(t, conn, len(c.answers))
				if strings.Join(got, "\n") != strings.Join(c.answers, "\n") {
					t.Errorf("answers %q, want %q", got, c.answers)
				}
				if pieces == 0 && b.plain.Load() != c.plain {
					t.Errorf("%d were plain, want %d", b.plain.Load(), c.plain)
				}
			}
		})
	}
}

func TestAPlainRequestComesInAFewPieces(t *testing.T) {
	b := start(t, nil)
	conn := b.dial(t)
	body := strings.Repeat("x", maxBody)
	for range 3 {
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", len(body))
		io.WriteString(conn, body)
		if got := answers(t, conn, 1); !strings.HasSuffix(got[0], body+`"`) {
			t.Fatalf("%.100q", got)
		}
	}
	// How many reads it took is the kernel's affair; none is lost either way.
	if n := b.plain.Load() + b.other.Load(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	b := start(t, func(*Response, *Request) { panic("for the test") })
	for range 2 {
		conn := b.dial(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestShutdownAnswersWhatHasBegun(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	b := start(t, func(w *Response, r *Request) {
		close(began)
		<-release
		w.Body("done")
	})
	idle, busy := b.dial(t), b.dial(t)
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(context.Background()) }()
	if n, err := idle.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("the idle connection: %d, %v", n, err)
	}
	b.isClosing() // Shutdown has come to all connections when it lets go of the lock
	select {
	case err := <-done:
		t.Fatal("it did not wait:", err)
	default:
	}
	close(release)
	res, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || !res.Close {
		t.Errorf("%v; the answer says that the connection stays: %+v", err, res)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	b := start(t, func(*Response, *Request) {
		close(began)
		<-release
	})
	conn := b.dial(t)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
}

// Whatever is taken for a plain request is one for net/http too, with the same
// content and the same end.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /?a=b HTTP/1.1\r\nHost: [::1]:80\r\nAccept: */*\r\n\r\nGET",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 03\r\nAuthorization: Bearer x\r\n\r\nabcdef",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /?\x80 HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n",
		"GET /?%zz HTTP/1.1\r\nHost : h\r\nConnection: close\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		v, size := parse(b, &r)
		if v != plain {
			return
		}
		in := bytes.NewReader(b)
		buffered := bufio.NewReaderSize(in, len(b)+16)
		want, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := describe(r.Method, string(r.Query), string(r.Host), string(r.ContentType), string(r.Authorization), string(r.Body))
		if is := describe(want.Method, want.URL.RawQuery, want.Host, want.Header.Get("Content-Type"), want.Header.Get("Authorization"), string(body)); got != is {
			t.Errorf("%s, net/http has %s", got, is)
		}
		if left := in.Len() + buffered.Buffered(); left != len(b)-size {
			t.Errorf("%d bytes follow, for net/http %d", len(b)-size, left)
		}
		if want.URL.Path != "/" || want.Close || want.ProtoMinor != 1 || len(want.TransferEncoding) > 0 {
			t.Errorf("it is not plain: %+v", want)
		}
		if _, err := url.ParseRequestURI(want.RequestURI); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkRequests has 32 callers send small forms, to this server and to net/http
// alone.
func BenchmarkRequests(b *testing.B) {
	const form = "action=message&receiverID=7&title=a+title&content=some+content+of+a+usual+length"
	plainForm := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	for name, request := range map[string]string{
		"plain": plainForm, "net/http": strings.Replace(plainForm, "Host: h", "Host: h\r\nX-Any: 1", 1),
	} {
		b.Run(name, func(b *testing.B) {
			s := start(b, func(w *Response, r *Request) {
				w.Header("Content-Type", "text/plain; charset=utf-8")
				w.Body("ok")
			})
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", s.address)
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				in := make([]byte, 1024)
				for pb.Next() {
					io.WriteString(conn, request)
					if n, err := conn.Read(in); err != nil || !bytes.HasPrefix(in[:n], []byte("HTTP/1.1 200")) {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
