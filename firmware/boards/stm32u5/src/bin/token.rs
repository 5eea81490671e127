//! The token.

#![no_std]
#![no_main]

use board::{Board, system};
use cortex_m_rt::entry;
use token::Token;

#[entry]
fn main() -> ! {
    let mut token = start();
    loop {
        poll(&mut token);
        system::feed_watchdog();
        system::sleep();
    }
}

// Apart from `main`, whose frame stays: what these need of the stack is given back.
#[inline(never)]
fn start() -> Token<Board> {
    Token::start(Board::start())
}

#[inline(never)]
fn poll(token: &mut Token<Board>) {
    token.poll();
}

/// Says nothing, because a message could carry data. The start-up code wipes the RAM.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    system::reset()
}
