package engineio

import (
	"regexp"
	"strings"
	"testing"
)

func TestASessionIDNamesTheNodeThatMadeIt(t *testing.T) {
	for _, node := range []string{"a", "Node-1_x", strings.Repeat("n", MaxNodeLen)} {
		o := slow
		o.Node = node
		h := serve(t, o)
		for _, eio := range []string{"3", "4"} {
			sid := openPacketOf(t, h.request("GET", "transport=polling&EIO="+eio, "").body).SID
			if !regexp.MustCompile(`^[\w-]{20}\.` + node + `$`).MatchString(sid) {
				t.Errorf("node %s, EIO %s: session id %q", node, eio, sid)
			}
			if got, ok := NodeOf(sid); !ok || got != node {
				t.Errorf("%s is said to be of node %q (%v)", sid, got, ok)
			}
			s := h.session()
			s.text("for you")
			if a := h.request("GET", "transport=polling&EIO="+eio+"&sid="+sid, ""); a.status != 200 || !strings.Contains(a.body, "4for you") {
				t.Errorf("node %s, EIO %s: the session answers %d %q", node, eio, a.status, a.body)
			}
		}
	}
}

func TestIDsThatNameNoNode(t *testing.T) {
	for _, sid := range []string{
		"", ".", "x.", "abc", newSessionID(""), newSessionID("a") + ".", "x.a b", "x.a/b", "x.a:80", "x.ä",
		"x." + strings.Repeat("n", MaxNodeLen+1), "x.a\r\nb",
	} {
		if node, ok := NodeOf(sid); ok {
			t.Errorf("%q is said to be of node %q", sid, node)
		}
	}
}

func FuzzNodeOf(f *testing.F) {
	for _, sid := range []string{newSessionID("node-a"), newSessionID(""), "a.b.c", "."} {
		f.Add(sid)
	}
	f.Fuzz(func(t *testing.T, sid string) {
		node, ok := NodeOf(sid)
		if ok != ValidNode(node) || ok && !strings.HasSuffix(sid, nodeSeparator+node) {
			t.Errorf("%q is said to be of node %q (%v)", sid, node, ok)
		}
	})
}

func TestSessionsOfANodeSpreadOverTheShards(t *testing.T) {
	o := slow
	o.Node = strings.Repeat("n", MaxNodeLen)
	h := serve(t, o)
	seen := make(map[*sessionShard]bool)
	for range 100 * sessionShards {
		seen[h.engine.shard(newSessionID(o.Node))] = true
	}
	if len(seen) != sessionShards {
		t.Errorf("%d of %d shards are used", len(seen), sessionShards)
	}
}

func TestANodeThatIsNoWordIsRefused(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the server was made")
		}
	}()
	NewServer(Options{Node: "a.b"}, nil)
}
