//! tungstenite as a peer: `peer server` or `peer client URL`.

use std::{
    env,
    io::{self, Read, Write},
    net::TcpListener,
    thread,
};

use tungstenite::{
    accept_with_config,
    client::connect_with_config,
    protocol::{
        frame::{
            coding::{Data, OpCode},
            Frame,
        },
        CloseFrame, WebSocketConfig,
    },
    Error, Message, WebSocket,
};

fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_frame_size(None)
}

/// Sends one message in three fragments.
fn send_fragments<S: Read + Write>(ws: &mut WebSocket<S>, kind: Data) -> Result<(), Error> {
    for (text, opcode, fin) in [
        ("one ", kind, false),
        ("two ", Data::Continue, false),
        ("three", Data::Continue, true),
    ] {
        let frame = Frame::message(text, OpCode::Data(opcode), fin);
        ws.send(Message::Frame(frame))?;
    }
    Ok(())
}

fn obey<S: Read + Write>(ws: &mut WebSocket<S>, command: &str) -> Result<(), Error> {
    match command.split(' ').collect::<Vec<_>>()[..] {
        ["ping", data] => ws.send(Message::Ping(data.to_owned().into())),
        ["fragments"] => {
            send_fragments(ws, Data::Text)?;
            send_fragments(ws, Data::Binary)
        }
        ["close", code, ref reason @ ..] => ws.close(Some(CloseFrame {
            code: code.parse::<u16>().expect("a close code").into(),
            reason: reason.join(" ").into(),
        })),
        _ => panic!("unknown command: {command}"),
    }
}

/// Echoes messages and obeys commands, until an error.
fn echo<S: Read + Write>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    loop {
        match ws.read()? {
            Message::Text(text) if text.starts_with("peer: ") => obey(ws, &text[6..])?,
            message @ (Message::Text(_) | Message::Binary(_)) => ws.send(message)?,
            Message::Pong(data) => {
                let text = format!("pong {}", String::from_utf8_lossy(&data));
                ws.send(Message::text(text))?;
            }
            Message::Close(Some(CloseFrame { code, reason })) => {
                println!("closed: {} {reason}", u16::from(code));
            }
            _ => {}
        }
    }
}

fn run<S: Read + Write>(mut ws: WebSocket<S>) {
    match echo(&mut ws) {
        Ok(()) | Err(Error::ConnectionClosed) => {}
        Err(error) => println!("error: {error}"),
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().collect();
    if args[1] == "client" {
        let (ws, _) = connect_with_config(&args[2], Some(config()), 0).expect("a handshake");
        run(ws);
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("port: {}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(
            move || run(accept_with_config(stream, Some(config())).expect("a handshake")),
        );
    }
    Ok(())
}
