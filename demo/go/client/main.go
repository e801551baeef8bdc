// The client of the story, in Go as it was written: it connects from a fixed port of its own,
// ignores the connection, and does the same again later. The mistake is left in: it never closes.
//
//	client [SERVER_PORT [OWN_PORT [SECONDS]]]
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"time"
)

func number(at int, otherwise int, most int) int {
	if len(os.Args) <= at {
		return otherwise
	}
	n, err := strconv.Atoi(os.Args[at])
	if err != nil || n < 0 || n > most {
		fmt.Fprintf(os.Stderr, "usage: client [SERVER_PORT [OWN_PORT [SECONDS]]]: '%s': expected 0 to %d\n",
			os.Args[at], most)
		os.Exit(2)
	}
	return n
}

func main() {
	serverPort := number(1, 7070, 65535)
	ownPort := number(2, 10001, 65535)
	seconds := number(3, 5, 3600)

	var ignored []net.Conn
	for take := 1; take <= 2; take++ {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: ownPort}}
		conn, err := dialer.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", serverPort))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		ignored = append(ignored, conn)
		fmt.Printf("take %d: connected\n", take)
		time.Sleep(time.Duration(seconds) * time.Second)
	}
	// The collector would close what nobody can reach any more.
	runtime.KeepAlive(ignored)
}
