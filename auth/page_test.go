package auth

import (
	"strings"
	"testing"
	"time"

	"belfry"
)

var aPage = Page{ID: "nmWlxQ3HLTqNAQ5VAAAB", Who: belfry.Identity{User: "7", Company: "acme"}}

func TestARecoveryStatementSaysWhoThePageWas(t *testing.T) {
	longest := strings.Repeat("x", belfry.MaxIDBytes)
	for name, p := range map[string]Page{
		"an ordinary page": aPage,
		"the longest page": {strings.Repeat("p", MaxPageIDBytes), belfry.Identity{User: belfry.UserID(longest), Company: belfry.CompanyID(longest)}},
		"any bytes":        {"\x00\xff", belfry.Identity{User: "会", Company: "\x01"}},
	} {
		t.Run(name, func(t *testing.T) {
			pid := newTokens(t).SignPage(p)
			if len(pid) == 0 || len(pid) > MaxPIDBytes || MaxPIDBytes > 411 {
				t.Errorf("%d bytes of %d", len(pid), MaxPIDBytes)
			}
			if strings.Trim(pid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("%q needs escaping in a URL", pid)
			}
			restarted := newTokens(t)
			if got, err := restarted.OpenPage(pid); err != nil || got != p {
				t.Errorf("OpenPage = %+v, %v", got, err)
			}
		})
	}
}

func TestPagesThatCannotBeStated(t *testing.T) {
	tokens := newTokens(t)
	for name, p := range map[string]Page{
		"without an ID":      {"", aPage.Who},
		"with a long ID":     {strings.Repeat("p", MaxPageIDBytes+1), aPage.Who},
		"without a user":     {"a", belfry.Identity{Company: "acme"}},
		"without a company":  {"a", belfry.Identity{User: "7"}},
		"with a huge user":   {"a", belfry.Identity{User: belfry.UserID(strings.Repeat("u", 129)), Company: "acme"}},
		"with a huge tenant": {"a", belfry.Identity{User: "7", Company: belfry.CompanyID(strings.Repeat("u", 1000))}},
	} {
		if pid := tokens.SignPage(p); pid != "" {
			t.Errorf("a page %s is stated: %q", name, pid)
		}
	}
}

func wantNoPage(t *testing.T, tokens *Tokens, pid string) {
	t.Helper()
	if p, err := tokens.OpenPage(pid); belfry.ErrorCode(err) != belfry.ErrUnauthorized || p != (Page{}) {
		t.Errorf("OpenPage(%.60q) = %+v, %v; want it refused", pid, p, err)
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	tokens := newTokens(t)
	pid := tokens.SignPage(aPage)
	for i := range pid {
		for _, c := range []string{"A", "_", "", "!"} {
			if changed := pid[:i] + c + pid[i+1:]; changed != pid {
				wantNoPage(t, tokens, changed)
			}
		}
		wantNoPage(t, tokens, pid[:i])
	}
	data := must(pidEncoding.DecodeString(pid))
	data[0]++
	future := append(data[:len(data)-pageTag:len(data)-pageTag], tokens.pageTag(data[:len(data)-pageTag])...)
	for _, bad := range []string{pid + "A", pid + "=", pid + "\n", " " + pid, strings.Repeat("A", 1<<20), pidEncoding.EncodeToString(future)} {
		wantNoPage(t, tokens, bad)
	}
	wantNoPage(t, newTokens(t, func(o *TokenOptions) { o.Secret = Secret(strings.Repeat("x", 32)) }), pid)
}

func TestFieldsOfAStatementCannotBeMoved(t *testing.T) {
	tokens := newTokens(t)
	a := tokens.SignPage(Page{"p", belfry.Identity{User: "12", Company: "3"}})
	b := tokens.SignPage(Page{"p", belfry.Identity{User: "1", Company: "23"}})
	if a == b {
		t.Error("two pages have one statement")
	}
}

func TestThePageSecretIsTakenBeforeTheTokenSecret(t *testing.T) {
	other := Secret(strings.Repeat("p", MinSecretBytes))
	both := newTokens(t, func(o *TokenOptions) { o.PageSecret = other })
	keys := newTokens(t, func(o *TokenOptions) { ofKeys(o); o.PageSecret = other })
	if got, err := keys.OpenPage(both.SignPage(aPage)); err != nil || got != aPage {
		t.Errorf("OpenPage = %+v, %v", got, err)
	}
	wantNoPage(t, newTokens(t), both.SignPage(aPage))
}

func TestAStatementIsNoTokenAndATokenNoStatement(t *testing.T) {
	tokens := newTokens(t)
	pid := tokens.SignPage(aPage)
	token := must(tokens.Sign(aPage.Who, time.Hour))
	wantRefused(t, tokens, pid, "not valid")
	wantNoPage(t, tokens, token)
	parts := strings.Split(token, ".")
	wantRefused(t, tokens, parts[0]+"."+parts[1]+"."+pid, "not valid")
	// Nor does the key of the one sign the other, whatever the form.
	underived := *tokens
	underived.pageKey = []byte(testSecret)
	wantNoPage(t, tokens, underived.SignPage(aPage))
	derived := newTokens(t, func(o *TokenOptions) { o.Secret = Secret(tokens.pageKey) })
	wantRefused(t, tokens, must(derived.Sign(aPage.Who, time.Hour)), "not valid")
}

func FuzzOpenPage(f *testing.F) {
	tokens := newTokens(f)
	f.Add(tokens.SignPage(aPage), []byte{pageVersion, 1, 'p', 1, 'u', 1, 'c'})
	f.Add("", []byte{pageVersion, 255})
	f.Add("AQ", []byte{pageVersion, 1, 'p', 1, 'u', 1, 'c', 0})
	f.Fuzz(func(t *testing.T, pid string, statement []byte) {
		signed := pidEncoding.EncodeToString(append(statement[:len(statement):len(statement)], tokens.pageTag(statement)...))
		for _, pid := range []string{pid, signed} {
			p, err := tokens.OpenPage(pid)
			if err == nil && tokens.SignPage(p) != pid {
				t.Fatalf("%q opens as %+v, whose statement is another", pid, p)
			}
			if err != nil && belfry.ErrorCode(err) != belfry.ErrUnauthorized {
				t.Fatalf("error %v", err)
			}
		}
	})
}
