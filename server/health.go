package server

import (
	"context"
	"net/http"
	"time"
)

// healthTimeout bounds what a health check may take.
const healthTimeout = 2 * time.Second

// health answers 200 while belfry can do its work, and 503 when it is stopping
// or its store does not answer.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	status, body := http.StatusOK, `{"status":"ok"}`
	if s.stopping.Load() {
		status, body = http.StatusServiceUnavailable, `{"status":"stopping"}`
	} else if err := s.options.Check(ctx); err != nil {
		s.log.WarnContext(ctx, "health check failed", "err", err)
		status, body = http.StatusServiceUnavailable, `{"status":"unavailable"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write([]byte(body))
}
