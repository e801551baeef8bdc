// A server that is busy on many connections and leaks some: both ends of all of them are here.
//
//	busy GOROUTINES LEAKS SECONDS
//
// Each goroutine connects, sends what it alone can expect back, compares, and closes, again and
// again, so that numbers are reused all the time. The leaks are connections whose peer has closed
// and that nobody looks at. Prints "leaking", at the end how many exchanges there were, and exits 1
// with the first difference.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func fail(what string, err error) {
	fmt.Printf("%s: %v\n", what, err)
	os.Exit(1)
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		fail(os.Args[at], err)
	}
	return n
}

func echo(conn net.Conn) {
	if _, err := io.Copy(conn, conn); err != nil {
		fail("echo", err)
	}
	conn.Close()
}

func serve(listener net.Listener, each func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail("accept", err)
		}
		go each(conn)
	}
}

func listen() net.Listener {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fail("listen", err)
	}
	return listener
}

func dial(to net.Listener) net.Conn {
	conn, err := net.Dial("tcp4", to.Addr().String())
	if err != nil {
		fail("dial", err)
	}
	return conn
}

// One connection: some exchanges, and the end of the stream, which the other side reads first.
func exchange(to net.Listener, id uint64) {
	conn := dial(to)
	sent := make([]byte, 512)
	got := make([]byte, len(sent))
	for i := range sent {
		sent[i] = byte(id>>(uint(i%8)*8)) ^ byte(i)
	}
	for round := 0; round < 4; round++ {
		binary.LittleEndian.PutUint64(sent, id)
		if _, err := conn.Write(sent); err != nil {
			fail("write", err)
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			fail("read", err)
		}
		if !bytes.Equal(sent, got) {
			fail("compare", fmt.Errorf("connection %d got bytes that it did not send", id))
		}
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		fail("shutdown", err)
	}
	if n, err := conn.Read(got); n != 0 || err != io.EOF {
		fail("end", err)
	}
	if err := conn.Close(); err != nil {
		fail("close", err)
	}
}

func main() {
	goroutines, leaks, seconds := number(1), number(2), number(3)
	echoing, closing := listen(), listen()
	go serve(echoing, echo)
	go serve(closing, func(conn net.Conn) { conn.Close() })

	var forgotten []net.Conn
	for i := 0; i < leaks; i++ {
		forgotten = append(forgotten, dial(closing))
	}
	fmt.Println("leaking")

	var exchanges uint64
	var group sync.WaitGroup
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for i := 0; i < goroutines; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				exchange(echoing, atomic.AddUint64(&exchanges, 1))
			}
		}()
	}
	group.Wait()
	fmt.Printf("%d exchanges, every byte right\n", exchanges)
	runtime.KeepAlive(forgotten)
}
