package clustertest

// EngineWithin is Engine with another patience.
var EngineWithin = engineSuite
