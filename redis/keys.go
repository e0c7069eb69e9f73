package redis

import (
	"context"
	_ "embed"

	"belfry"

	"github.com/redis/rueidis"
)

//go:embed sync.lua
var syncSource string

//go:embed reap.lua
var reapSource string

//go:embed count.lua
var countSource string

//go:embed nodes.lua
var nodesSource string

var (
	syncScript  = rueidis.NewLuaScript(syncSource)
	reapScript  = rueidis.NewLuaScript(reapSource)
	countScript = rueidis.NewLuaScript(countSource)
	nodesScript = rueidis.NewLuaScript(nodesSource)
)

// articleHash begins the article's hash of a company; articleUser begins its fields, in the scripts.
const articleHash = "socketio:company:"

func (p *Presence) companyKey(id belfry.CompanyID, what string) string {
	return "{" + p.c.prefix + ":" + string(id) + "}:" + what
}

// companyKeys are those of a company that the scripts count in.
func (p *Presence) companyKeys(id belfry.CompanyID) []string {
	return []string{p.companyKey(id, "users"), p.companyKey(id, "leases"), p.companyKey(id, "pages")}
}

// nodeKeys are those of a company together with a node's, and the article's.
func (p *Presence) nodeKeys(id belfry.CompanyID, node string) []string {
	keys := append(p.companyKeys(id), p.companyKey(id, "node:"+node))
	if p.article {
		keys = append(keys, articleHash+string(id))
	}
	return keys
}

func (p *Presence) userKey(id belfry.UserID) string {
	return "{" + p.c.prefix + "@" + string(id) + "}:pages"
}

func (p *Presence) nodesKey() string { return "{" + p.c.prefix + "}:nodes" }

// listKey is of the companies of a node.
func (p *Presence) listKey(node string) string { return "{" + p.c.prefix + "}:companies:" + node }

func (p *Presence) channel() string { return p.c.prefix + ":online" }

// command is one that takes its key first.
func (p *Presence) command(name, key string, args ...string) rueidis.Completed {
	return p.c.r.B().Arbitrary(name).Keys(key).Args(args...).Build()
}

// do sends commands together. It does not end with the caller's context, so that what comes of it says
// whether Redis answers.
func (p *Presence) do(commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	results := p.c.r.DoMulti(ctx, commands...)
	for _, r := range results {
		if err := r.Error(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// run runs a script, which answers with an array.
func (p *Presence) run(script *rueidis.Lua, keys []string, args ...string) ([]rueidis.RedisMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	return script.Exec(ctx, p.c.r, keys, args).ToArray()
}

// integers reads the first n of an answer.
func integers(answer []rueidis.RedisMessage, n int) ([]int, error) {
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
