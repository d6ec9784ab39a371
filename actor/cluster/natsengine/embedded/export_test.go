package embedded

// HiddenAddr is where s listens for clients, wanted or not.
func HiddenAddr(s *Server) string { return s.current().Addr().String() }
