package server

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"belfry"
)

// What is written member by member is JSON, and says what encoding/json would.
func FuzzMessageOnTheWire(f *testing.F) {
	f.Add("a title", "<b>&\"'\\\x00\u2028\xff", "javascript:alert(1)", 3, true)
	f.Add("", "标题", "https://example.com/?a=1&b=2", -1, false)
	f.Fuzz(func(t *testing.T, title, content, url string, unread int, archived bool) {
		m := &belfry.Message{
			ID: belfry.ID{1, 2}, Receiver: "7", Company: belfry.CompanyID(title), SenderID: content, Sender: url, Portrait: url,
			Title: title, Content: content, URL: url, Date: time.Unix(1_700_000_000, 0), Type: 2, Category: title,
			CollapseKey: content, Data: json.RawMessage(`{"a":["<"]}`), Extra: map[string]string{title: content}, IsArchived: archived,
		}
		counts := &belfry.Counts{Unread: unread, ByType: map[belfry.MessageType]int{2: unread, 10: 1}, Version: 9}
		for _, form := range []format{formatHTML, formatText} {
			b, err := messageEvent{message: m, counts: counts, format: form, zone: time.UTC}.AppendJSON([]byte("x"))
			if err != nil || b[0] != 'x' {
				t.Fatal(err)
			}
			var got struct {
				MessageID, SenderID, Sender, ReceiverID, CompanyID, Portrait, Title, Content, URL, Date string
				Category, CollapseKey                                                                   string
				TypeID, IsRead, IsArchived                                                              int
				Data                                                                                    map[string][]string
				Extra                                                                                   map[string]string
				Counts                                                                                  belfry.Counts
			}
			if err := json.Unmarshal(b[1:], &got); err != nil {
				t.Fatalf("%s: %v", b[1:], err)
			}
			text := func(s string) string { // as it is after it was JSON
				return string([]rune(form.text(s)))
			}
			for name, is := range map[string][2]string{
				"senderID": {got.SenderID, text(content)}, "sender": {got.Sender, text(url)}, "companyID": {got.CompanyID, text(title)},
				"title": {got.Title, text(title)}, "content": {got.Content, text(content)},
				"url": {got.URL, string([]rune(form.url(url)))}, "portrait": {got.Portrait, string([]rune(form.url(url)))},
				"category": {got.Category, text(title)}, "collapseKey": {got.CollapseKey, text(content)},
				"messageID": {got.MessageID, m.ID.String()}, "receiverID": {got.ReceiverID, "7"}, "date": {got.Date, "2023-11-14 22:13:20"},
				"data": {strings.Join(got.Data["a"], ""), form.text("<")},
			} {
				if is[0] != is[1] {
					t.Errorf("%s is %q, want %q", name, is[0], is[1])
				}
			}
			if got.TypeID != 2 || got.IsRead != 0 || got.IsArchived != flag(archived) || got.Extra[text(title)] != text(content) {
				t.Errorf("%s", b)
			}
			if got.Counts.Unread != unread || got.Counts.Version != 9 || !maps.Equal(got.Counts.ByType, counts.ByType) {
				t.Errorf("counts %+v", got.Counts)
			}
		}
	})
}
