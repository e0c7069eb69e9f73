package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"belfry"
	"belfry/internal/plainhttp"
)

// A pushHandler is the push endpoint of the article: POST or GET, fields from
// anywhere, answered in one word and always with status 200, because that is what
// its callers look at.
type pushHandler struct {
	service *belfry.Service
	keys    keyCheck
	zone    *time.Location
	log     *slog.Logger
}

// The answers.
const (
	pushOK      = "ok"      // at least one page got it
	pushOffline = "offline" // nobody was there; a message waits for the receiver
	pushFail    = "fail"    // refused; nothing was stored or sent
)

// errorHeader carries the reason of a refusal.
const errorHeader = "X-Belfry-Error"

// ServeHTTP implements [http.Handler].
func (h *pushHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", pushContentType)
	w.Header().Set("Cache-Control", "no-store")
	call := pushCall{from: backendOf(r), address: r.RemoteAddr}
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		call.err = belfry.Errorf(belfry.ErrInvalid, "push with POST or GET")
	} else {
		body := http.MaxBytesReader(w, r.Body, maxPushBody)
		call.fields, call.err = readFields(r.URL.RawQuery, r.Header.Get("Content-Type"), body)
	}
	answer, reason := h.answer(r.Context(), call)
	if reason != "" {
		w.Header().Set(errorHeader, reason)
	}
	w.Write([]byte(answer))
}

const pushContentType = "text/plain; charset=utf-8"

// servePlain is ServeHTTP for most requests.
func (h *pushHandler) servePlain(w *plainhttp.Response, r *plainhttp.Request) {
	w.Header("Cache-Control", "no-store")
	w.Header("Content-Type", pushContentType)
	call := pushCall{address: r.RemoteAddr, from: backend{
		authorization: string(r.Authorization),
		here:          func() bool { return isLoopback(r.RemoteAddr) && namesThisMachine(string(r.Host)) },
	}}
	call.fields, call.err = readFields(string(r.Query), string(r.ContentType), bytes.NewReader(r.Body))
	answer, reason := h.answer(context.Background(), call)
	if reason != "" {
		w.Header(errorHeader, reason)
	}
	w.Body(answer)
}

// A pushCall is one call of the endpoint, however it came.
type pushCall struct {
	from    backend
	address string
	fields  fields
	err     error // why the fields could not be read
}

// answer returns the word that answers a call, and why it was refused.
func (h *pushHandler) answer(ctx context.Context, c pushCall) (answer, reason string) {
	receipt, err := h.push(ctx, c)
	switch {
	case err != nil:
		logFailure(ctx, h.log, "push refused", err, "address", c.address)
		return pushFail, headerText(belfry.ErrorMessage(err))
	case receipt.Pages > 0:
		return pushOK, ""
	}
	return pushOffline, ""
}

// headerText makes a message fit for a header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func (h *pushHandler) push(ctx context.Context, c pushCall) (belfry.Receipt, error) {
	if c.err != nil {
		return belfry.Receipt{}, c.err
	}
	f := c.fields
	if err := h.keys.authorize(c.from, f.get("token")); err != nil {
		return belfry.Receipt{}, err
	}
	store, err := storeField(f)
	if err != nil {
		return belfry.Receipt{}, err
	}
	switch action := f.get("action"); {
	case action == "message":
		return h.message(ctx, f, store)
	case action == "dynamic":
		return h.activity(ctx, f, store)
	case action == "" && f.get("type") == "publish":
		return h.publish(ctx, f, store)
	}
	return belfry.Receipt{}, belfry.Errorf(belfry.ErrInvalid, "action must be message or dynamic, or type must be publish")
}

func (h *pushHandler) message(ctx context.Context, f fields, store bool) (belfry.Receipt, error) {
	date, err := h.dateField(f)
	if err != nil {
		return belfry.Receipt{}, err
	}
	typeID, err := numberField(f, "typeID")
	if err != nil {
		return belfry.Receipt{}, err
	}
	var receivers []belfry.UserID
	for _, uid := range f.list("receiverID") {
		receivers = append(receivers, belfry.UserID(uid))
	}
	return h.service.PushMessage(ctx, belfry.Push{Transient: !store, Receivers: receivers, Message: belfry.Message{
		Company:  belfry.CompanyID(f.get("companyID")),
		SenderID: f.get("senderID"),
		Sender:   f.get("sender"),
		Portrait: f.get("portrait"),
		Title:    f.get("title"),
		Content:  f.get("content"),
		URL:      f.get("url"),
		Date:     date,
		Type:     belfry.MessageType(typeID),
		Extra:    f.extra(),
	}}, nil)
}

func (h *pushHandler) activity(ctx context.Context, f fields, store bool) (belfry.Receipt, error) {
	date, err := h.dateField(f)
	if err != nil {
		return belfry.Receipt{}, err
	}
	objectType, err := numberField(f, "objectType")
	if err != nil {
		return belfry.Receipt{}, err
	}
	return h.service.PushActivity(ctx, belfry.ActivityPush{Transient: !store, Activity: belfry.Activity{
		Company:    belfry.CompanyID(f.get("companyID")),
		OperatorID: f.get("operatorID"),
		Operator:   f.get("operator"),
		Receiver:   f.get("receiver"),
		Portrait:   f.get("portrait"),
		Title:      f.get("title"),
		Content:    f.get("content"),
		URL:        f.get("url"),
		Date:       date,
		ObjectType: belfry.ObjectType(objectType),
		ObjectID:   f.get("objectID"),
		Extra:      f.extra(),
	}}, nil)
}

// publish is the call of web-msg-sender: a bare text, to one user or to all.
func (h *pushHandler) publish(ctx context.Context, f fields, store bool) (belfry.Receipt, error) {
	to, text := belfry.UserID(f.get("to")), f.get("content")
	return h.service.PublishText(ctx, to, text, store)
}

// dateField reads a date as the article writes it, or RFC 3339, or seconds since
// 1970. A missing one means now.
func (h *pushHandler) dateField(f fields) (time.Time, error) {
	s := strings.TrimSpace(f.get("date"))
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(dateLayout, s, h.zone); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0), nil
	}
	return time.Time{}, belfry.Errorf(belfry.ErrInvalid, "date must look like 2006-01-02 15:04:05")
}

func numberField(f fields, name string) (int, error) {
	s := strings.TrimSpace(f.get(name))
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, belfry.Errorf(belfry.ErrInvalid, "%s must be a number", name)
	}
	return int(n), nil
}

// storeField reads store=0: the application keeps its messages itself.
func storeField(f fields) (bool, error) {
	switch f.get("store") {
	case "", "1":
		return true, nil
	case "0":
		return false, nil
	}
	return false, belfry.Errorf(belfry.ErrInvalid, "store must be 0 or 1")
}
