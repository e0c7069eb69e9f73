package socketio_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"belfry/engineio"
	"belfry/socketio"
)

var sidPattern = regexp.MustCompile(`"sid":"[\w-]{20}"`)

// A step of a script is what the client sends, a message or bytes, or what it
// must get. Ids in CONNECT packets read SID.
type (
	sends  string
	sendsB []byte
	gets   string
)

func (c *client) play(steps ...any) {
	c.t.Helper()
	for _, step := range steps {
		switch s := step.(type) {
		case sends:
			c.send(string(s))
		case sendsB:
			c.sendBinary(s...)
		case gets:
			if got := sidPattern.ReplaceAllString(c.next(), `"sid":"SID"`); got != string(s) {
				c.t.Fatalf("got  %s\nwant %s", got, s)
			}
		}
	}
}

// steps is a script.
type steps []any

var connected = steps{sends(`0`), gets(`0{"sid":"SID"}`), gets(`2["auth",{}]`)}

// long is a name that no namespace can have.
var long = strings.Repeat("x", 1000)

func TestRevision5(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/", "/custom")
	for name, script := range map[string]steps{
		"connects to the main namespace": connected,
		"connects with a payload":        {sends(`0{"token":"123"}`), gets(`0{"sid":"SID"}`), gets(`2["auth",{"token":"123"}]`)},
		"connects to another namespace":  {sends(`0/custom,`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`)},
		"connects elsewhere with a payload": {sends(`0/custom,{ "token" : "é" }`), gets(`0/custom,{"sid":"SID"}`),
			gets(`2/custom,["auth",{ "token" : "é" }]`)},
		"learns that a namespace is unknown":           append(steps{sends(`0/random`), gets(`4/random,{"message":"Invalid namespace"}`)}, connected...),
		"learns that a very long namespace is unknown": append(steps{sends("0/" + long), gets("4/" + long + `,{"message":"Invalid namespace"}`)}, connected...),
		"is in two namespaces": append(connected[:3:3], sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`),
			sends(`2/custom,["message","a"]`), gets(`2/custom,["message-back","a"]`), sends(`2["message","b"]`), gets(`2["message-back","b"]`)),
		"leaves one of two namespaces": append(connected[:3:3], sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`),
			sends(`1/custom`), sends(`2["message","still here"]`), gets(`2["message-back","still here"]`)),
		"leaves and comes again":      append(append(connected[:3:3], sends(`1`)), connected...),
		"is echoed byte for byte":     append(connected[:3:3], sends(`2["message",1,"2",{"3":[true]}, 1.50,"é\u00e9"]`), gets(`2["message-back",1,"2",{"3":[true]},1.50,"é\u00e9"]`)),
		"is acknowledged":             append(connected[:3:3], sends(`2456["message-with-ack",1,"2",{"3":[false]}]`), gets(`3456[1,"2",{"3":[false]}]`)),
		"sends a number as its event": append(connected[:3:3], sends(`2[5,1]`), sends(`21["message-with-ack"]`), gets(`31[]`)),
		"sends attachments": append(connected[:3:3], sends(`52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`),
			sendsB{1, 2, 3}, sendsB{4, 5, 6}, gets(`52-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), gets(`010203`), gets(`040506`)),
		"gets attachments through the ack": append(connected[:3:3], sends(`52-789["message-with-ack",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`),
			sendsB{1}, sendsB{2}, gets(`62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), gets(`02`), gets(`01`)),
		"gets no answer to an unknown event or ack": append(connected[:3:3], sends(`21["what"]`), sends(`37[1]`), sends(`22["message-with-ack"]`), gets(`32[]`)),

		"is closed for an event before CONNECT":                   {sends(`2["message"]`), gets("closed")},
		"is closed for an event elsewhere":                        append(connected[:3:3], sends(`2/custom,["message"]`), gets("closed")),
		"is closed for an event after leaving":                    append(connected[:3:3], sends(`1`), sends(`2["message"]`), gets("closed")),
		"is closed for leaving what it is not in":                 append(connected[:3:3], sends(`1/custom`), gets("closed")),
		"is closed for a second CONNECT":                          append(connected[:3:3], sends(`0`), gets("closed")),
		"is closed for an error packet":                           append(connected[:3:3], sends(`4"x"`), gets("closed")),
		"is closed for an unknown type":                           append(connected[:3:3], sends(`abc`), gets("closed")),
		"is closed for an object as event":                        append(connected[:3:3], sends(`2{}`), gets("closed")),
		"is closed for letters as id":                             append(connected[:3:3], sends(`2abc["message-with-ack",1]`), gets("closed")),
		"is closed for a reserved event":                          append(connected[:3:3], sends(`2["disconnect"]`), gets("closed")),
		"is closed for auth that is no object":                    {sends(`0["a"]`), gets("closed")},
		"is closed for text where attachments belong":             append(connected[:3:3], sends(`51-["message",{"_placeholder":true,"num":0}]`), sends(`2["message"]`), gets("closed")),
		"is closed for binary that is no attachment":              append(connected[:3:3], sendsB{1}, gets("closed")),
		"is closed for eleven attachments":                        append(connected[:3:3], sends(`511-["message"]`), gets("closed")),
		"is closed for a placeholder without attachment":          append(connected[:3:3], sends(`51-["message",{"_placeholder":true,"num":1}]`), sendsB{1}, gets("closed")),
		"is closed for such a placeholder in what nobody handles": append(connected[:3:3], sends(`51-["what",{"_placeholder":true,"num":-1}]`), sendsB{1}, gets("closed")),
		"is closed for deep nesting":                              append(connected[:3:3], sends(`2["message",`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`]`), gets("closed")),
	} {
		t.Run(name, func(t *testing.T) { dial(t, address, 4).play(script...) })
	}
}

func TestRevision4(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/", "/custom")
	main := steps{gets(`0`), gets(`2["auth",{}]`)}
	for name, script := range map[string]steps{
		"is in the main namespace unasked": main,
		"gets ASCII only":                  append(main[:2:2], sends(`2["message","é消😀"]`), gets(`2["message-back","\u00e9\u6d88\ud83d\ude00"]`)),
		"connects to another namespace":    append(main[:2:2], sends(`0/custom`), gets(`0/custom,`), gets(`2/custom,["auth",{}]`)),
		"connects with a query": append(main[:2:2], sends(`0/custom?token=a%2Cb&n=1&n=2,`), gets(`0/custom,`),
			gets(`2/custom,["auth",{"n":"2","token":"a,b"}]`), sends(`2/custom,["message",1]`), gets(`2/custom,["message-back",1]`)),
		"learns that a namespace is unknown":           append(main[:2:2], sends(`0/random`), gets(`4/random,"Invalid namespace"`), sends(`2["message"]`), gets(`2["message-back"]`)),
		"learns that a very long namespace is unknown": append(main[:2:2], sends("0/"+long+"?a=b"), gets("4/"+long+`,"Invalid namespace"`)),
		"leaves one namespace only": append(main[:2:2], sends(`0/custom`), gets(`0/custom,`), gets(`2/custom,["auth",{}]`), sends(`1/custom`),
			sends(`2/custom,["message"]`), sends(`2["message"]`), gets(`2["message-back"]`)),
		"is acknowledged": append(main[:2:2], sends(`20["message-with-ack","x"]`), gets(`30["x"]`)),
		"sends attachments": append(main[:2:2], sends(`51-["message",{"_placeholder":true,"num":0}]`), sendsB{1, 2, 3},
			gets(`51-["message-back",{"_placeholder":true,"num":0}]`), gets(`010203`)),
		"announces attachments and has none": append(main[:2:2], sends(`50-["message","x"]`), gets(`2["message-back","x"]`)),
		"sends what it could not encode":     append(main[:2:2], sends(`4"encode error"`), sends(`2["message"]`), gets(`2["message-back"]`)),
		"is closed for an unknown type":      append(main[:2:2], sends(`abc`), gets("closed")),
		"is closed for an object as event":   append(main[:2:2], sends(`2{}`), gets("closed")),
		"is closed for a second CONNECT":     append(main[:2:2], sends(`0`), gets("closed")),
	} {
		t.Run(name, func(t *testing.T) { dial(t, address, 3).play(script...) })
	}
}

func TestSocketIDs(t *testing.T) {
	server, address := start(t, socketio.Options{})
	ids := make(chan string, 2)
	for _, name := range []string{"/", "/custom"} {
		server.Of(name).OnConnect(func(s *socketio.Socket) { ids <- s.ID() })
	}
	old := dial(t, address, 3)
	old.play(gets(`0`), sends(`0/custom`), gets(`0/custom,`))
	if a, b := receive(t, ids), receive(t, ids); a != old.sid || b != "/custom#"+old.sid {
		t.Errorf("revision 4: %s and %s in session %s", a, b, old.sid)
	}
	modern := dial(t, address, 4)
	modern.send("0")
	answer := modern.next()
	if id := receive(t, ids); answer != `0{"sid":"`+id+`"}` || id == modern.sid || len(id) != 20 {
		t.Errorf("revision 5: %s, answered %s in session %s", id, answer, modern.sid)
	}
}

func TestEventThatDoesNotWaitForTheAnswerToConnectIsRefused(t *testing.T) {
	server, address := start(t, socketio.Options{ConnectTimeout: time.Hour})
	server.DelayConnects(time.Hour) // however slow the machine is, the event comes before
	heard := make(chan string, 1)
	server.Of("/").OnAny(func(_ *socketio.Socket, e *socketio.Event) { heard <- e.Name })
	c := dial(t, address, 4)
	c.sendAll(`0`, `2["message"]`)
	if got := c.next(); got != "closed" {
		t.Errorf("got %s", got)
	}
	eventually(t, "the connection ends", func() bool { return server.Len() == 0 })
	if len(heard) > 0 {
		t.Error("the event was heard")
	}
}

func TestPollingCarriesManyPacketsAtOnce(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/")
	url := "http://" + address + "/socket.io/?EIO=4&transport=polling"
	open := request(t, "GET", url, "")
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	url += "&sid=" + sid
	if got := request(t, "POST", url, "40"); got != "ok" {
		t.Fatalf("POST was answered %s", got)
	}
	var got string
	for !strings.Contains(got, "auth") {
		got += request(t, "GET", url, "") + "\x1e"
	}
	request(t, "POST", url, "42[\"message\",1]\x1e451-[\"message\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID\x1e42[\"message\",\"é\"]")
	got = ""
	for !strings.Contains(got, "é") {
		got += request(t, "GET", url, "") + "\x1e"
	}
	const want = "42[\"message-back\",1]\x1e451-[\"message-back\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID\x1e42[\"message-back\",\"é\"]\x1e"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	request(t, "POST", url, "1")
}

func request(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s, %v", method, url, response.StatusCode, text, err)
	}
	return string(text)
}

func TestConnectionWithoutNamespaceIsClosed(t *testing.T) {
	serve := func(timeout time.Duration) (*socketio.Server, string) {
		server, address := start(t, socketio.Options{ConnectTimeout: timeout})
		server.Of("/").Use(func(s *socketio.Socket) error {
			if s.Revision() == 4 {
				return fmt.Errorf("no")
			}
			return nil
		})
		return server, address
	}
	server, address := serve(50 * time.Millisecond)
	silent := dial(t, address, 4)
	silent.expect("closed")
	refused := dial(t, address, 3)
	refused.expect(`4"no"`, "closed")
	eventually(t, "no connection is left", func() bool { return server.Len() == 0 })
	// Who asks for what there is not has to come to it in time.
	for timeout := 50 * time.Millisecond; ; timeout *= 5 {
		server, address := serve(timeout)
		unknown := dial(t, address, 4)
		unknown.conn.Write(appendFrame(nil, 1, []byte(`40/random`)))
		got := unknown.next()
		if got == "closed" && timeout < patience/10 {
			continue
		}
		if got != `4/random,{"message":"Invalid namespace"}` {
			t.Fatalf("got %s", got)
		}
		unknown.expect("closed")
		eventually(t, "no connection is left", func() bool { return server.Len() == 0 })
		return
	}
}

func TestNumberOfNamespacesIsBounded(t *testing.T) {
	server, address := start(t, socketio.Options{MaxNamespaces: 2})
	for _, name := range []string{"/a", "/b", "/c"} {
		server.Of(name)
	}
	c := dial(t, address, 4)
	c.play(sends(`0/a`), gets(`0/a,{"sid":"SID"}`), sends(`0/x`), gets(`4/x,{"message":"Invalid namespace"}`),
		sends(`0/b`), gets(`0/b,{"sid":"SID"}`), sends(`0/c`), gets("closed"))
}

func TestMessageOverTheLimitClosesOnlyItsConnection(t *testing.T) {
	server, address := start(t, socketio.Options{Engine: engineio.Options{MaxPayload: 1000}})
	echo(server, "/")
	other, c := join(t, address, 4), join(t, address, 4)
	c.play(gets(`2["auth",{}]`), sends(`2["message","`+strings.Repeat("x", 1000)+`"]`), gets("closed"))
	other.expect(`2["auth",{}]`)
	other.quiet()
}
