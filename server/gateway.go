package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"belfry"
	"belfry/engineio"
	"belfry/socketio"
)

// eventTimeout bounds what one event of a page may take.
const eventTimeout = 15 * time.Second

// A gateway turns the events of pages into calls of the rules.
type gateway struct {
	service *belfry.Service
	logins  *logins
	limits  *limiter
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
		"messages": g.messages,
		"dynamics": g.dynamics,
		"read":     g.read,
		"read_all": g.readAll,
		"seen":     g.seen,
		"online":   g.online,
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
}

func (g *gateway) login(s *socketio.Socket, e *socketio.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
	defer cancel()
	answer, err := g.tryLogin(ctx, s, e.Args.Raw(0))
	if err != nil {
		logFailure(ctx, g.log, "login refused", err, "address", s.Handshake().Address)
		g.ack(e, refuse(err))
		return
	}
	g.ack(e, answer)
}

func (g *gateway) tryLogin(ctx context.Context, s *socketio.Socket, arg json.RawMessage) (welcome, error) {
	if p := pageOf(s); p != nil {
		return welcome{}, belfry.Errorf(belfry.ErrConflict, "this page is logged in already; the second login was ignored")
	}
	who, format, err := g.logins.check(arg, s.Handshake())
	if err != nil {
		return welcome{}, err
	}
	return g.admit(ctx, s, who, format)
}

// admit makes the socket a page of who.
func (g *gateway) admit(ctx context.Context, s *socketio.Socket, who belfry.Identity, f format) (welcome, error) {
	p := &page{socket: s, who: who, format: f, zone: g.zone}
	s.SetData(p) // before the login, so that one which panics halfway is logged out
	w, err := g.service.Login(ctx, who, p)
	if err != nil {
		s.SetData(nil)
		return welcome{}, err
	}
	return welcome{true, string(who.User), string(who.Company), w.Online, w.Counts, w.Cursor}, nil
}

// A pending login is the slot of a socket that showed who it is while it
// connected, until it is connected.
type pendingLogin struct {
	who    belfry.Identity
	format format
}

// loginAtConnect checks what a client of 3.x or 4.x gives as auth, or one of 1.x
// or 2.x as ?token=. A client that gives nothing emits login later.
func (g *gateway) loginAtConnect(s *socketio.Socket) error {
	arg := s.Auth()
	if token := s.Handshake().Query.Get("token"); token != "" && s.Revision() == 4 {
		arg, _ = json.Marshal(map[string]string{"token": token, "format": s.Handshake().Query.Get("format")})
	}
	if !saysWho(arg) {
		return nil
	}
	who, format, err := g.logins.check(arg, s.Handshake())
	if err != nil {
		logFailure(context.Background(), g.log, "login refused", err, "address", s.Handshake().Address)
		return &socketio.ConnectError{Message: belfry.ErrorMessage(err), Data: refuse(err).Error}
	}
	s.SetData(pendingLogin{who, format})
	return nil
}

// connected completes a login that was shown at connect. Its counts come as an
// event, since a connection has no ack.
func (g *gateway) connected(s *socketio.Socket) {
	if !g.limits.enter(s.Handshake().Address) {
		g.log.Info("page refused: too many from its address", "address", s.Handshake().Address)
		s.Disconnect(true)
		return
	}
	pending, ok := s.Data().(pendingLogin)
	if !ok {
		return
	}
	s.SetData(nil)
	ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
	defer cancel()
	w, err := g.admit(ctx, s, pending.who, pending.format)
	if err != nil {
		logFailure(ctx, g.log, "login failed", err, "address", s.Handshake().Address)
		// Not Disconnect: after that, clients do not come back by themselves.
		s.Session().Close(engineio.ReasonForcedClose)
		return
	}
	if err := s.Emit(belfry.EventCounts, w.Counts); err != nil {
		g.log.Debug("counts not sent", "err", err)
	}
}

func (g *gateway) disconnected(s *socketio.Socket, _ engineio.Reason) {
	g.limits.leave(s.Handshake().Address)
	if p := pageOf(s); p != nil {
		g.service.Logout(p.who, p)
	}
}
