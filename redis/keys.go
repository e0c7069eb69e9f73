package redis

import (
	"strconv"
	"time"

	"belfry"
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

// nodesKeys are those of all nodes that the script takes.
func (p *Presence) nodesKeys() []string {
	return []string{p.nodesKey(), "{" + p.c.prefix + "}:addresses"}
}

// listKey is of the companies of a node.
func (p *Presence) listKey(node string) string { return "{" + p.c.prefix + "}:companies:" + node }

func (p *Presence) channel() string { return p.c.prefix + ":online" }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
