package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/engineio"
	"belfry/socketio"
)

// eventTimeout bounds what one event of a page may take.
const eventTimeout = 15 * time.Second

// loginTimeout bounds how long a page waits until it is its turn to be let in. Where many come back at a time it is better
// to wait than to come again. What is asked for it then has a time of its own, see [belfry.Service.Login].
const loginTimeout = 30 * time.Second

// A gateway turns the events of pages into calls of the rules.
type gateway struct {
	service *belfry.Service
	logins  *logins
	limits  *limiter
	expiry  *expiry
	topics  *topicCheck
	zone    *time.Location
	log     *slog.Logger
}

// attach registers the gateway's handlers.
func (g *gateway) attach(pages *socketio.Namespace) {
	pages.Use(g.loginAtConnect)
	pages.OnConnect(g.connected)
	pages.OnDisconnect(g.disconnected)
	pages.On("login", g.login)
	for event, answer := range map[string]func(context.Context, *page, json.RawMessage) (any, error){
		"messages":        g.messages,
		"dynamics":        g.dynamics,
		"read":            g.marking(belfry.RevisionRead),
		"unread":          g.marking(belfry.RevisionUnread),
		"archive":         g.marking(belfry.RevisionArchived),
		"unarchive":       g.marking(belfry.RevisionUnarchived),
		"read_all":        g.readAll,
		"seen":            g.seen,
		"received":        g.received,
		"online":          g.online,
		"preferences":     g.preferences,
		"set_preferences": g.setPreferences,
		"join":            g.join,
		"leave":           g.leave,
		"renew":           g.renew,
	} {
		pages.On(event, g.answering(answer))
	}
}

// pageOf returns the page of a socket that has logged in, or nil.
func pageOf(s *socketio.Socket) *page {
	p, _ := s.Data().(*page)
	return p
}

// answering makes the handler of an event that needs a login and is answered
// through its ack.
func (g *gateway) answering(answer func(context.Context, *page, json.RawMessage) (any, error)) func(*socketio.Socket, *socketio.Event) {
	return func(s *socketio.Socket, e *socketio.Event) {
		ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
		defer cancel()
		var result any
		var err error
		if p := pageOf(s); p != nil {
			result, err = answer(ctx, p, e.Args.Raw(0))
		} else {
			err = belfry.Errorf(belfry.ErrUnauthorized, "log in first: emit login with a token")
		}
		if err != nil {
			logFailure(ctx, g.log, "event refused", err, "event", e.Name)
			result = refuse(err)
		}
		g.ack(e, result)
	}
}

// ack answers an event whose page wants an answer.
func (g *gateway) ack(e *socketio.Event, answer any) {
	if !e.WantsAck() {
		return
	}
	if err := e.Ack(answer); err != nil {
		g.log.Debug("event not answered", "event", e.Name, "err", err)
	}
}

// A welcome answers a login.
type welcome struct {
	OK        bool          `json:"ok"`
	UID       string        `json:"uid"`
	CompanyID string        `json:"companyID"`
	Online    int           `json:"online"`
	Counts    belfry.Counts `json:"counts"`
	Cursor    string        `json:"cursor"`
	Reset     bool          `json:"reset,omitempty"` // the lists are to be loaded anew
}

func (g *gateway) login(s *socketio.Socket, e *socketio.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	if err := g.tryLogin(ctx, s, e); err != nil {
		logFailure(ctx, g.log, "login refused", err, "address", s.Handshake().Address)
		g.ack(e, refuse(err))
		if belfry.ErrorCode(err) != belfry.ErrConflict {
			g.countFailure(s)
		}
	}
}

// maxFailedLogins is how often a connection may try in vain. A page that goes on opens another
// one, and those are limited by address.
const maxFailedLogins = 10

// failedLogins is the slot of a socket that has tried in vain.
type failedLogins int

func (g *gateway) countFailure(s *socketio.Socket) {
	failed, _ := s.Data().(failedLogins)
	if failed++; failed >= maxFailedLogins {
		s.Disconnect(true)
		return
	}
	s.SetData(failed)
}

// tryLogin logs a page in and answers it, unless it fails.
func (g *gateway) tryLogin(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
	if p := pageOf(s); p != nil {
		return belfry.Errorf(belfry.ErrConflict, "this page is logged in already; the second login was ignored")
	}
	l, err := g.check(e.Args.Raw(0), s.Handshake())
	if err != nil {
		return err
	}
	return g.admit(ctx, s, l, func(w belfry.Welcome) {
		g.ack(e, welcome{true, string(l.who.User), string(l.who.Company), w.Online, w.Counts, w.Cursor.String(), w.Reset})
	})
}

// check asks who a page is, and has the delivery record say of whom a token was refused.
func (g *gateway) check(arg json.RawMessage, h *engineio.Handshake) (login, error) {
	l, err := g.logins.check(arg, h)
	if err != nil && l.who.User != "" {
		g.service.NoteRefused(l.who, belfry.ErrorMessage(err))
	}
	return l, err
}

// admit makes the socket a page and greets it.
func (g *gateway) admit(ctx context.Context, s *socketio.Socket, l login, greet func(belfry.Welcome)) error {
	p := newPage(s, l, g.zone)
	s.SetData(p) // before the login, so that one which panics halfway is logged out
	l.options.Greet = greet
	w, err := g.service.Login(ctx, l.who, p, l.options)
	if err != nil {
		s.SetData(nil)
		if belfry.ErrorCode(err) == belfry.ErrUnauthorized {
			g.service.NoteRefused(l.who, belfry.ErrorMessage(err))
		}
		return err
	}
	p.since = w.Cursor
	g.expiry.watch(p, l.expires)
	return nil
}

// loginAtConnect checks what a client of 3.x or 4.x gives as auth, or one of 1.x
// or 2.x as ?token=. A client that gives nothing emits login later.
func (g *gateway) loginAtConnect(s *socketio.Socket) error {
	arg := s.Auth()
	if query := s.Handshake().Query(); query.Get("token") != "" && s.Revision() == 4 {
		arg, _ = json.Marshal(map[string]string{"token": query.Get("token"), "format": query.Get("format"), "cursor": query.Get("cursor")})
	}
	if !saysWho(arg) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	l, err := g.check(arg, s.Handshake())
	if err == nil && !l.options.Trusted { // here the client still learns why
		l.options.Checked, err = g.service.CheckToken(ctx, l.who, l.options.Issued)
	}
	if err != nil {
		logFailure(ctx, g.log, "login refused", err, "address", s.Handshake().Address)
		return &socketio.ConnectError{Message: belfry.ErrorMessage(err), Data: refuse(err).Error}
	}
	if s.Revision() >= 5 {
		g.resume(ctx, s, &l)
	}
	s.SetData(l)
	s.ForgetAuth()
	return nil
}

// resume lets a client of 4.6 or later go on with the session that it had, if
// it can be told all that it has missed, and otherwise begins one that can be
// resumed. Who it is was settled by what it shows now; the pid only has to be of the same
// identity.
func (g *gateway) resume(ctx context.Context, s *socketio.Socket, l *login) {
	if pid, offset, asked := s.Recovery(); asked {
		if id, ok := g.resumable(ctx, l, pid, offset); ok {
			s.Resume(id, pid)
			return
		}
	}
	s.Offer(g.logins.tokens.SignPage(auth.Page{ID: s.ID(), Who: l.who}))
}

// resumable checks a pid and an offset and sets the login's cursor.
func (g *gateway) resumable(ctx context.Context, l *login, pid, offset string) (id string, ok bool) {
	session, err := g.logins.tokens.OpenPage(pid)
	if err != nil || session.Who != l.who {
		return "", false
	}
	cursor, err := belfry.ParseCursor(offset)
	if err != nil {
		return "", false
	}
	complete, missed, err := g.service.CanCatchUp(ctx, l.who, cursor)
	switch {
	case err != nil: // the login looks again; where it fails, too, the client comes back as it is
		logFailure(ctx, g.log, "what a session has missed is not known yet", err)
	case !complete:
		return "", false
	}
	l.options.Cursor, l.options.Resumed, l.options.Missed = cursor, true, missed
	return session.ID, true
}

// connected completes a login that was shown at connect. Its counts come as an
// event, since a connection has no ack.
func (g *gateway) connected(s *socketio.Socket) {
	if !g.limits.enter(s.Handshake().Address) {
		g.log.Info("page refused: too many from its address", "address", s.Handshake().Address)
		s.Disconnect(true)
		return
	}
	pending, ok := s.Data().(login)
	if !ok {
		return
	}
	s.SetData(nil)
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	err := g.admit(ctx, s, pending, func(w belfry.Welcome) {
		// With the cursor the client learns what it has been told up to.
		if err := s.Emit(belfry.EventCounts, w.Counts, w.Cursor.String()); err != nil {
			g.log.Debug("counts not sent", "err", err)
		}
		if w.Reset {
			if err := s.Emit(belfry.EventReset, struct{}{}); err != nil {
				g.log.Debug("reset not sent", "err", err)
			}
		}
	})
	if err != nil {
		logFailure(ctx, g.log, "login failed", err, "address", s.Handshake().Address)
		// Not Disconnect: after that, clients do not come back by themselves.
		s.Session().Close(engineio.ReasonForcedClose)
	}
}

func (g *gateway) disconnected(s *socketio.Socket, reason engineio.Reason) {
	g.limits.leave(s.Handshake().Address)
	if p := pageOf(s); p != nil {
		g.expiry.forget(p)
		g.service.Logout(p.who, p, p.since, p.whyGone(reason))
	}
}

// renew gives a page a new token, before the one that it has expires.
func (g *gateway) renew(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var shown struct {
		Token string `json:"token"`
	}
	if err := decodeArg(arg, &shown); err != nil {
		return nil, err
	}
	claims, err := g.logins.tokens.Verify(shown.Token)
	if err == nil && claims.Who != p.who {
		err = belfry.Errorf(belfry.ErrUnauthorized, "the token is for somebody else; log in on a new page")
	}
	if err == nil {
		_, err = g.service.CheckToken(ctx, claims.Who, claims.Issued)
	}
	if err != nil {
		return nil, err
	}
	for _, topic := range p.setTopics(claims.Topics) {
		g.service.UnwatchTopic(p, topic)
	}
	p.renew(claims.Issued)
	g.expiry.watch(p, claims.Expires)
	return struct {
		OK        bool      `json:"ok"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{true, claims.Expires.UTC()}, nil
}
