package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed rest_docs.html
var docsPage string

//go:embed rest_docs.css
var docsStyle string

// serveDocument serves the OpenAPI document, and the page that shows it: made
// here, without a script, so that it works offline and under any policy.
func serveDocument(mux *http.ServeMux, document *huma.OpenAPI) {
	asJSON, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(err) // it is made from types of this package
	}
	asYAML, err := document.YAML()
	if err != nil {
		panic(err)
	}
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsPage)).Execute(&page, newDocs(document)); err != nil {
		panic(err)
	}
	digest := sha256.Sum256([]byte(docsStyle))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	mux.HandleFunc("GET /v1/openapi.json", serveBytes("application/openapi+json", asJSON))
	mux.HandleFunc("GET /v1/openapi.yaml", serveBytes("application/openapi+yaml", asYAML))
	html := serveBytes("text/html; charset=utf-8", page.Bytes())
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		html(w, r)
	})
}

func serveBytes(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(body)
	}
}

// docs is what the page shows.
type docs struct {
	Title, Description string
	Style              template.CSS
	Operations         []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary string
	Input, Output             []docsField
	Status                    string
}

type docsField struct {
	Name, Place, Type, Doc string
	Required               bool
}

func newDocs(document *huma.OpenAPI) docs {
	d := docs{Title: document.Info.Title, Description: document.Info.Description, Style: template.CSS(docsStyle)}
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, op := range operationsOf(document.Paths[path]) {
			d.Operations = append(d.Operations, newDocsOperation(document, op))
		}
	}
	return d
}

// operationsOf returns the operations of a path.
func operationsOf(item *huma.PathItem) []*huma.Operation {
	return slices.DeleteFunc([]*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete},
		func(op *huma.Operation) bool { return op == nil })
}

func newDocsOperation(document *huma.OpenAPI, op *huma.Operation) docsOperation {
	o := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary}
	for _, p := range op.Parameters {
		o.Input = append(o.Input, docsField{p.Name, p.In, typeName(document, p.Schema), p.Description, p.Required})
	}
	if op.RequestBody != nil {
		o.Input = append(o.Input, docsFields(document, op.RequestBody.Content["application/json"].Schema, "body")...)
	}
	var statuses []string
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status == "default" { // a problem
			continue
		}
		statuses = append(statuses, status)
		if content := op.Responses[status].Content["application/json"]; content != nil {
			o.Output = docsFields(document, content.Schema, "")
		}
	}
	o.Status = strings.Join(statuses, " or ")
	return o
}

func docsFields(document *huma.OpenAPI, schema *huma.Schema, place string) []docsField {
	schema = resolved(document, schema)
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[name]
		fields = append(fields, docsField{name, place, typeName(document, p), p.Description, slices.Contains(schema.Required, name)})
	}
	return fields
}

func resolved(document *huma.OpenAPI, schema *huma.Schema) *huma.Schema {
	if ref := refOf(schema); ref != "" {
		return document.Components.Schemas.SchemaFromRef(ref)
	}
	return schema
}

// refOf returns what a schema refers to, or nothing.
func refOf(schema *huma.Schema) string {
	if ref, ok := schema.Extensions[shownRef].(string); ok {
		return ref
	}
	return schema.Ref
}

// typeName says in a word what a schema takes.
func typeName(document *huma.OpenAPI, schema *huma.Schema) string {
	if refOf(schema) != "" {
		var names []string
		for _, f := range docsFields(document, schema, "") {
			names = append(names, f.Name)
		}
		return "{" + strings.Join(names, ", ") + "}"
	}
	switch {
	case len(schema.OneOf) > 0:
		return "string or integer"
	case schema.Type == huma.TypeArray:
		return "list of " + typeName(document, schema.Items)
	case schema.Format == "date-time":
		return "date (RFC 3339)"
	case schema.Type == "":
		return "any JSON"
	}
	return schema.Type
}
