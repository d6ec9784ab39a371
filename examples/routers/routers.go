// Package routers mounts a WebSocket server, which is an [http.Handler], behind the routers that services
// commonly use. Each function takes what [github.com/troupe-dev/troupe/socket.Server.Handler] returned, serves
// it at /ws, and puts in front of it what such a service has there: a log, compression of ordinary
// responses, and a middleware that sets a header and a cookie. Both arrive with the 101.
//
// What a router needs is that its ResponseWriter, and that of every middleware, can be hijacked: by a Hijack
// method, or by an Unwrap method as [http.ResponseController] looks for it.
package routers

import (
	"io"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	echo4 "github.com/labstack/echo/v4"
	echo4middleware "github.com/labstack/echo/v4/middleware"
	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"
)

// NetHTTP mounts ws on the mux of net/http.
func NetHTTP(ws http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", ws)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Router", "net/http")
		http.SetCookie(w, session)
		mux.ServeHTTP(w, r)
	})
}

// Chi mounts ws on a chi router.
func Chi(ws http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Use(
		chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)}),
		chimiddleware.Recoverer,
		chimiddleware.Compress(5),
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Router", "chi")
				http.SetCookie(w, session)
				next.ServeHTTP(w, r)
			})
		},
	)
	r.Get("/ws", ws.ServeHTTP)
	return r
}

// Echo mounts ws on echo, version 5.
func Echo(ws http.Handler) http.Handler {
	e := echo.New()
	e.Use(
		echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{
			LogStatus:     true,
			LogValuesFunc: func(*echo.Context, echomiddleware.RequestLoggerValues) error { return nil },
		}),
		echomiddleware.Recover(),
		echomiddleware.Gzip(),
		func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				c.Response().Header().Set("X-Router", "echo")
				c.SetCookie(session)
				return next(c)
			}
		},
	)
	e.GET("/ws", echo.WrapHandler(ws))
	return e
}

// Echo4 mounts ws on echo, version 4.
func Echo4(ws http.Handler) http.Handler {
	e := echo4.New()
	e.Use(
		echo4middleware.RequestLoggerWithConfig(echo4middleware.RequestLoggerConfig{
			LogStatus:     true,
			LogValuesFunc: func(echo4.Context, echo4middleware.RequestLoggerValues) error { return nil },
		}),
		echo4middleware.Recover(),
		echo4middleware.Gzip(),
		func(next echo4.HandlerFunc) echo4.HandlerFunc {
			return func(c echo4.Context) error {
				c.Response().Header().Set("X-Router", "echo4")
				c.SetCookie(session)
				return next(c)
			}
		},
	)
	e.GET("/ws", echo4.WrapHandler(ws))
	return e
}

// Gin mounts ws on gin. Middleware outside gin has to have a Hijack method, because gin does not look for
// Unwrap.
func Gin(ws http.Handler) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(
		gin.LoggerWithWriter(io.Discard),
		gin.Recovery(),
		func(c *gin.Context) {
			c.Header("X-Router", "gin")
			http.SetCookie(c.Writer, session)
		},
	)
	g.GET("/ws", gin.WrapH(ws))
	return g
}

var session = &http.Cookie{Name: "session", Value: "4711", HttpOnly: true}
