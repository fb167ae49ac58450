// Package simulate runs a car park against the HTTP API of a server: a seeded model
// draws who comes when, in what size and for how long; its gates let them in, its
// drivers ask for the price, pay and leave, and now and then a gate repeats a call. At
// the end what the server shows is compared with what the model saw, and with itself.
//
// In virtual time all of it happened in the past: every instant is told (at), in order,
// as fast as the server answers. In scaled time drivers come and go in real time, many
// at once, and those who find the car park full may wait in line.
//
// The same seed draws the same drivers. What becomes of them in scaled time depends on
// the server's pace as well.
package simulate
