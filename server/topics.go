package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"belfry"
	"belfry/auth"
)

// A TopicHook is asked whether a page may join a topic that its token does not list. It
// gets a POST with {uid, companyID, topic} as JSON and answers 2xx for yes, 403
// for no; the answer's body is not looked at.
type TopicHook struct {
	URL string
	// Secret, where set, signs the body: the header X-Belfry-Signature is then
	// "sha256=" and the hexadecimal HMAC-SHA256 of it.
	Secret auth.Secret
}

const (
	topicHookTimeout = 5 * time.Second
	topicHookConns   = 32 // at a time; further pages wait
)

// topicCheck decides who may join which topic.
type topicCheck struct {
	hook   TopicHook
	client *http.Client
}

func newTopicCheck(hook TopicHook) *topicCheck {
	return &topicCheck{hook: hook, client: &http.Client{
		Timeout:   topicHookTimeout,
		Transport: &http.Transport{MaxConnsPerHost: topicHookConns, MaxIdleConnsPerHost: topicHookConns, IdleConnTimeout: time.Minute, Proxy: http.ProxyFromEnvironment},
		// Whoever answers for another address is not who was asked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *topicCheck) close() { c.client.CloseIdleConnections() }

// allow fails with ErrUnauthorized if the page may not join the topic, and with
// ErrUnavailable if nobody could say.
func (c *topicCheck) allow(ctx context.Context, p *page, topic string) error {
	if p.mayJoin(topic) {
		return nil
	}
	refused := belfry.Errorf(belfry.ErrUnauthorized, "the token does not list this topic")
	if c.hook.URL == "" {
		return refused
	}
	status, err := c.ask(ctx, p.who, topic)
	switch {
	case err != nil:
		return &belfry.Error{Code: belfry.ErrUnavailable, Message: "the application could not be asked; try again later", Err: err}
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusForbidden:
		return refused
	}
	return &belfry.Error{
		Code: belfry.ErrUnavailable, Message: "the application could not be asked; try again later",
		Err: fmt.Errorf("topic hook: status %d", status),
	}
}

func (c *topicCheck) ask(ctx context.Context, who belfry.Identity, topic string) (status int, err error) {
	body, err := json.Marshal(map[string]string{"uid": string(who.User), "companyID": string(who.Company), "topic": topic})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.hook.Secret != "" {
		mac := hmac.New(sha256.New, []byte(c.hook.Secret))
		mac.Write(body)
		req.Header.Set("X-Belfry-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := c.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode, err
}

// topicArg names a topic.
type topicArg struct {
	Topic string `json:"topic"`
}

func topicOf(arg json.RawMessage) (string, error) {
	var named topicArg
	if err := decodeArg(arg, &named); err != nil {
		return "", err
	}
	return belfry.ParseID("topic", named.Topic)
}

func (g *gateway) join(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	topic, err := topicOf(arg)
	if err != nil {
		return nil, err
	}
	if err := g.topics.allow(ctx, p, topic); err != nil {
		return nil, err
	}
	if err := g.service.WatchTopic(ctx, p, topic); err != nil {
		return nil, err
	}
	if err := p.socket.Join(p.format.roomsOf([]string{belfry.TopicRoom(topic)})...); err != nil {
		g.service.UnwatchTopic(p, topic)
		return nil, &belfry.Error{Code: belfry.ErrLimited, Message: "the page is in too many topics", Err: err}
	}
	return done{true}, nil
}

func (g *gateway) leave(_ context.Context, p *page, arg json.RawMessage) (any, error) {
	topic, err := topicOf(arg)
	if err != nil {
		return nil, err
	}
	p.Leave(belfry.TopicRoom(topic))
	g.service.UnwatchTopic(p, topic)
	return done{true}, nil
}
