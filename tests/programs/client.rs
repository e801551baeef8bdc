// Connects to a port of 127.0.0.1, forgets the connection, and waits for the end of its standard
// input. It is bound by the ownership of its socket to close it, unless it forgets it.

use std::io::Read;
use std::net::TcpStream;

fn dial(port: u16) {
    std::mem::forget(TcpStream::connect(("127.0.0.1", port)).unwrap());
}

fn main() {
    dial(std::env::args().nth(1).unwrap().parse().unwrap());
    println!("connected");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
