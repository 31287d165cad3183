// Package board is what the events of a line add up to: its slots, its day, and
// hints where something fails again and again. Everybody who shows a line
// shows a board.
package board
