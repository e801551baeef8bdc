// A server that keeps each connection whose first byte is 'L' and never looks at it again, and
// echoes what comes on the others. It says "port N", and ends with its standard input.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

var leaked = make(chan net.Conn, 1000000)

func serve(conn net.Conn) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		conn.Close()
		return
	}
	if first[0] == 'L' {
		leaked <- conn
		return
	}
	io.Copy(conn, conn)
	conn.Close()
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go serve(conn)
	}
}
