package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// A script runs in Redis. It answers with an array.
type script struct{ source, sum string }

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source, hex.EncodeToString(sum[:])}
}

//go:embed sync.lua
var syncSource string

//go:embed reap.lua
var reapSource string

//go:embed count.lua
var countSource string

//go:embed nodes.lua
var nodesSource string

//go:embed drop.lua
var dropSource string

var (
	syncScript  = newScript(syncSource)
	reapScript  = newScript(reapSource)
	countScript = newScript(countSource)
	nodesScript = newScript(nodesSource)
	dropScript  = newScript(dropSource)
)

// A call is one command. Its key says which shard is asked.
type call struct {
	key     string
	command rueidis.Completed
}

// A run is one run of a script, whose keys are all in one slot.
type run struct {
	keys, args []string
}

var errOut = errors.New("redis: others have just asked in vain")

// command is one that takes its key first.
func (p *Presence) command(name, key string, args ...string) call {
	return call{key, p.c.r.B().Arbitrary(name).Keys(key).Args(args...).Build()}
}

// do asks one thing, and does not even try where others have just asked in vain.
func (p *Presence) do(c call) (rueidis.RedisResult, error) {
	if p.isOut(c.key) {
		return rueidis.RedisResult{}, errOut
	}
	r := p.ask(c)[0]
	return r, r.Error()
}

// ask sends calls together, and notes whether Redis answers. It does not end with a caller's context, so
// that what comes of it says that.
func (p *Presence) ask(calls ...call) []rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	var results []rueidis.RedisResult
	if len(calls) == 1 { // joins what others send at the same time
		results = []rueidis.RedisResult{p.c.r.Do(ctx, calls[0].command)}
	} else {
		commands := make([]rueidis.Completed, len(calls))
		for i, c := range calls {
			commands[i] = c.command
		}
		results = p.c.r.DoMulti(ctx, commands...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range calls {
		p.note(c.key, results[i].Error())
	}
	return results
}

// run runs a script once.
func (p *Presence) run(s *script, keys []string, args ...string) ([]rueidis.RedisMessage, error) {
	if p.isOut(keys[0]) {
		return nil, errOut
	}
	return p.runAll(s, run{keys, args})[0].ToArray()
}

// A slot of a cluster moves in a few milliseconds, unless it has large keys. Meanwhile a script of which a key is missing, where
// the slot comes from or where it goes, is told to try again. It does, with twice the wait each time; what still fails
// then is left to the retries.
const (
	firstWait = 2 * time.Millisecond
	lastWait  = 32 * time.Millisecond
)

// runAll runs a script several times, together.
func (p *Presence) runAll(s *script, runs ...run) []rueidis.RedisResult {
	results := p.runOnce(s, runs)
	for wait := firstWait; wait <= lastWait; wait *= 2 {
		var moving []int
		var some []run
		for i, r := range results {
			if isMoving(r.Error()) {
				moving = append(moving, i)
				some = append(some, runs[i])
			}
		}
		if len(some) == 0 {
			break
		}
		time.Sleep(wait)
		for i, r := range p.runOnce(s, some) {
			results[moving[i]] = r
		}
	}
	return results
}

// runOnce sends scripts. A server that does not know one yet is sent it.
func (p *Presence) runOnce(s *script, runs []run) []rueidis.RedisResult {
	calls := make([]call, len(runs))
	for i, r := range runs {
		calls[i] = call{r.keys[0], p.c.r.B().Evalsha().Sha1(s.sum).Numkeys(int64(len(r.keys))).Key(r.keys...).Arg(r.args...).Build()}
	}
	results := p.ask(calls...)
	var unknown []int
	calls = calls[:0]
	for i, r := range runs {
		if isNoScript(results[i].Error()) {
			unknown = append(unknown, i)
			calls = append(calls, call{r.keys[0],
				p.c.r.B().Eval().Script(s.source).Numkeys(int64(len(r.keys))).Key(r.keys...).Arg(r.args...).Build()})
		}
	}
	if len(unknown) > 0 {
		for i, r := range p.ask(calls...) {
			results[unknown[i]] = r
		}
	}
	return results
}

func isNoScript(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}

// isMoving says whether a command was not done because its slot is moving, or because masters do not agree who has it. The shard
// is well then.
func isMoving(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := e.IsMoved()
	_, ask := e.IsAsk()
	return moved || ask || e.IsTryAgain()
}

// note notes whether the shard of a key answers. The lock is held.
func (p *Presence) note(key string, err error) {
	s := p.shardOf(key)
	switch {
	case err == nil || rueidis.IsRedisNil(err) || isNoScript(err):
		p.noteAnswer(s)
	case isMoving(err):
		p.noteAnswer(s)
		p.trouble.cause = err
	case !p.closed:
		s.lost = key
		p.trouble.failures++
		p.trouble.cause = err
	}
}

// noteAnswer notes that a shard answers. The lock is held.
func (p *Presence) noteAnswer(s *shard) {
	if s.out() {
		s.lost, p.there = "", time.Now()
	}
}

// isOut says whether the shard of a key was asked in vain.
func (p *Presence) isOut(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shardOf(key).out()
}

// integers reads the first n of an answer.
func integers(answer []rueidis.RedisMessage, n int) ([]int, error) {
	if len(answer) < n {
		return nil, errors.New("redis: a script has answered less than it does")
	}
	numbers := make([]int, n)
	for i := range numbers {
		v, err := answer[i].AsInt64()
		if err != nil {
			return nil, err
		}
		numbers[i] = int(v)
	}
	return numbers, nil
}
