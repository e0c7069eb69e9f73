package pagetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// browserHeaders are what a browser says of itself in every request of a page.
const browserHeaders = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nOrigin: http://%s\r\n" +
	"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"

// A poller is the connection of a page that polls.
type poller struct {
	conn  net.Conn
	in    *bufio.Reader
	pages *Pages
	sid   string
}

var sidOf = regexp.MustCompile(`"sid":"([^"]+)"`)

// send begins a request: a POST of body, or a GET without one.
func (p *poller) send(body string) error {
	method, more := "GET", ""
	if body != "" {
		method, more = "POST", fmt.Sprintf("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(body))
	}
	query := p.pages.Query
	if p.sid != "" {
		query += "&sid=" + p.sid
	}
	_, err := fmt.Fprintf(p.conn, "%s %s?%s HTTP/1.1\r\nHost: %s\r\n"+browserHeaders+"%s\r\n%s",
		method, p.pages.Path, query, p.pages.Address, p.pages.Address, more, body)
	return err
}

// answer reads the answer to the request that was begun last.
func (p *poller) answer() ([]byte, error) {
	res, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", res.Status, body)
	}
	return body, err
}

// openPolling opens a page that polls and follows its script. From then on it asks
// whenever it is answered, over the one connection.
func (p *Pages) openPolling(i int) (net.Conn, error) {
	conn, err := net.Dial("tcp", p.Address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	c := &poller{conn: conn, in: bufio.NewReader(conn), pages: p}
	var got []byte
	await := func(text string) error {
		for !bytes.Contains(got, []byte(text)) {
			if err := c.send(""); err != nil {
				return err
			}
			body, err := c.answer()
			if err != nil {
				return fmt.Errorf("waiting for %q after %q: %w", text, got, err)
			}
			if sid := sidOf.FindSubmatch(body); sid != nil && c.sid == "" {
				c.sid = string(sid[1])
			}
			got = append(got, body...)
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
		if err := c.send(text); err != nil {
			return nil, err
		}
		if _, err := c.answer(); err != nil {
			return nil, err
		}
	}
	if err := await(p.Until); err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	go func() { // until the connection ends
		for c.send("") == nil {
			if _, err := c.answer(); err != nil {
				return
			}
		}
	}()
	return conn, nil
}
