package redis

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for _, tt := range []struct {
		url      string
		addrs    []string
		user     string
		password string
		master   string
		tls      bool
		db       int
	}{
		{url: "redis://localhost", addrs: []string{"localhost:6379"}},
		{url: "redis://u:p%40%2F@h:1/3", addrs: []string{"h:1"}, user: "u", password: "p@/", db: 3},
		{url: "rediss://:p@h:1", addrs: []string{"h:1"}, password: "p", tls: true},
		{url: "redis://:p@a:1,b:2,c", addrs: []string{"a:1", "b:2", "c:6379"}, password: "p"},
		{url: "redis://a:1,b:2?master=mine", addrs: []string{"a:1", "b:2"}, master: "mine"},
		{url: "redis://[::1]:1,[::2]:2", addrs: []string{"[::1]:1", "[::2]:2"}},
	} {
		got, err := parseURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if !slices.Equal(got.InitAddress, tt.addrs) || got.Username != tt.user || got.Password != tt.password ||
			got.Sentinel.MasterSet != tt.master || (got.TLSConfig != nil) != tt.tls || got.SelectDB != tt.db {
			t.Errorf("%s: %q user %q password %q master %q tls %t db %d", tt.url, got.InitAddress, got.Username, got.Password,
				got.Sentinel.MasterSet, got.TLSConfig != nil, got.SelectDB)
		}
	}
}

func TestNoErrorHoldsThePassword(t *testing.T) {
	for _, url := range []string{
		"redis://:se/cret@127.0.0.1:1", "redis://:se#cret@127.0.0.1:1", "redis://:se?cret@127.0.0.1:1", "redis://:se%cret@127.0.0.1:1",
		"http://:secret@127.0.0.1:1", "redis://:secret@127.0.0.1:1/x", "redis://:secret@127.0.0.1:1?other=1", "redis://:secret@127.0.0.1:x",
		"redis://:secret@127.0.0.1:1,:x:y", "redis://:secret@127.0.0.1:1", "redis://:secret@127.0.0.1:1,127.0.0.1:2?master=m",
		"redis://u:1?cret@127.0.0.1:1", "redis://127.0.0.1:1?master=m&sentinel_password=secret", ":secret@h",
	} {
		c, err := Open(context.Background(), Options{URL: url})
		if err == nil {
			c.Close()
			t.Errorf("%s: opened", url)
		} else if strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAPrefixIsAName(t *testing.T) {
	if _, err := Open(context.Background(), Options{URL: "redis://127.0.0.1:1", Prefix: "a{b"}); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("got %v", err)
	}
}
