package belfry

import (
	"context"
	"encoding/json"
	"time"
)

// RequestLifetime is how long the answer to a request with a key is kept at least.
const RequestLifetime = 24 * time.Hour

// A RequestKey lets a caller make a call again without its effect being repeated.
type RequestKey struct {
	Key         string   // 1 to [MaxKeyBytes] bytes, the caller's own
	Fingerprint [32]byte // of all that is asked for: another one with the same key is a mistake
}

// once makes a call that creates something, or returns the answer it had before. Do
// stores what keep makes of the answer, as far as it is known, in the same transaction as what it creates: a
// crash in between leaves either both or nothing. The answer in full replaces it
// afterwards. A call that fails has created nothing and may be made again.
func once[T any](ctx context.Context, s *Service, key *RequestKey, do func(keep func(T) *Request) (T, error)) (T, error) {
	var zero T
	if key == nil {
		return do(func(T) *Request { return nil })
	}
	if name, err := ParseID("the idempotency key", key.Key); err != nil {
		return zero, err
	} else if name != key.Key {
		return zero, invalidField("the idempotency key", "begins or ends with a space")
	}
	if err := s.requests.enter(ctx, key.Key); err != nil {
		return zero, err
	}
	defer s.requests.leave(key.Key)
	if answer, made, err := answerOf[T](ctx, s, key); made || err != nil {
		return answer, err
	}
	kept := false
	answer, err := do(func(early T) *Request {
		kept = true
		return &Request{Key: key.Key, Fingerprint: key.Fingerprint, Answer: encodeAnswer(early), Made: s.now()}
	})
	if ErrorCode(err) == ErrConflict { // perhaps another node has had the key meanwhile
		if answer, made, err := answerOf[T](ctx, s, key); made || err != nil {
			return answer, err
		}
	}
	if err != nil {
		return zero, err
	}
	if !kept { // nothing was created
		return answer, nil
	}
	if err := s.store.AnswerRequest(context.WithoutCancel(ctx), key.Key, encodeAnswer(answer)); err != nil {
		s.log.WarnContext(ctx, "the answer to a request was not kept in full", "err", err)
	}
	return answer, nil
}

// answerOf returns the answer that the same call had before.
func answerOf[T any](ctx context.Context, s *Service, key *RequestKey) (answer T, made bool, err error) {
	request, err := s.store.Request(ctx, key.Key, s.now().Add(-RequestLifetime))
	switch {
	case ErrorCode(err) == ErrNotFound:
		return answer, false, nil
	case err != nil:
		return answer, false, err
	case request.Fingerprint != key.Fingerprint:
		return answer, false, Errorf(ErrConflict, "the idempotency key was used for another request; use a new one")
	}
	return answer, true, json.Unmarshal(request.Answer, &answer)
}

func encodeAnswer(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // answers are made of strings and numbers
	}
	return b
}
