package server

import (
	"net/http"

	"belfry/web"
)

// publicRoutes is what the public port answers.
func (s *Server) publicRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(s.options.Path, s.passingOn(s.limits.handshakesOf(markForeignHosts(s.sockets))))
	mux.Handle("GET "+s.options.Path+web.ClientFile, clientScript())
	personal := s.rest.sharing(s.rest.forPages(s.rest.personal()))
	mux.Handle("/v1/", personal)
	mux.Handle("/docs", personal)
	mux.HandleFunc("GET /healthz", s.health)
	if s.demo != nil {
		mux.Handle("GET /demo/", http.StripPrefix("/demo/", demoPages()))
		mux.HandleFunc("GET /demo/config.json", s.demo.config)
		mux.HandleFunc("POST /demo/tasks", s.demo.createTask)
		mux.Handle("GET /{$}", http.RedirectHandler("/demo/", http.StatusFound))
	}
	return mux
}

// pushRoutes is what the push port answers.
func (s *Server) pushRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.push)
	backend := s.rest.forBackends(s.rest.backend())
	mux.Handle("/v1/", backend)
	mux.Handle("/docs", backend)
	mux.HandleFunc("GET /healthz", s.health)
	return mux
}

// hopRoutes is what other nodes are answered: requests of sessions that are here. What came from a node is never passed on.
func (s *Server) hopRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(s.options.Path, s.fromNodes(markForeignHosts(s.sockets)))
	return mux
}

// demoPages serves the built demo, or says how to build it.
func demoPages() http.Handler {
	files, _ := web.Demo()
	return http.FileServerFS(files)
}

// clientScript serves the official client beside the protocol, where the
// reference server has it.
func clientScript() http.Handler {
	files, built := web.Client()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !built {
			http.Error(w, "the client is not built into this binary; run make web, then build it again", http.StatusNotFound)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(w, r, files, web.ClientFile)
	})
}
