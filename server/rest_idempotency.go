package server

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// Calls that create something may be made again with their key, when it is not
// known whether they arrived: the answer is the one that they had, and nothing is
// done twice.

// keyHeader carries the key of a call.
const keyHeader = "Idempotency-Key"

// A KeyInput takes the key of a call. Its operation is [repeatable].
type KeyInput struct {
	Key string `header:"Idempotency-Key" maxLength:"128" doc:"Made by the caller, another for every call. The same call with the same key is answered as before and done once, for 24 hours; another call with it is a conflict"`
}

// request returns the key for the rules, or nil if the caller gave none.
func (k KeyInput) request(ctx context.Context) *belfry.RequestKey {
	if k.Key == "" {
		return nil
	}
	return &belfry.RequestKey{Key: k.Key, Fingerprint: [32]byte(ctx.Value(fingerprintKey{}).(hash.Hash).Sum(nil))}
}

type fingerprintKey struct{}

// repeatable makes an operation take a [KeyInput]: what is asked for is hashed while it is read.
func repeatable(op huma.Operation) huma.Operation {
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		fingerprint := sha256.New()
		io.WriteString(fingerprint, ctx.Operation().OperationID+"\x00")
		next(hashedContext{huma.WithValue(ctx, fingerprintKey{}, fingerprint), fingerprint})
	})
	return op
}

// A hashedContext hashes the body that is read from it.
type hashedContext struct {
	humaContext
	hash hash.Hash
}

type humaContext huma.Context // which has a method of its own name

// BodyReader implements [huma.Context].
func (c hashedContext) BodyReader() io.Reader {
	return io.TeeReader(c.humaContext.BodyReader(), c.hash)
}
