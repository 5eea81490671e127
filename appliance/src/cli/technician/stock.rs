//! `countersign technician stock`: hardware tokens and where they are.

use std::process::ExitCode;

use super::super::Global;
use super::super::client::{Client, segment};
use super::super::output::{Failure, print, table};
use crate::api::wire;

pub(super) fn run(global: &Global, batch: Option<&str>) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let mut items: Vec<wire::StockItem> = Vec::new();
    let mut after = String::new();
    loop {
        let mut path = format!("/v1/provisioning/stock?after={}", segment(&after));
        if let Some(batch) = batch {
            path += &format!("&batch={}", segment(batch));
        }
        let page: wire::List<wire::StockItem> = client.get(&path)?;
        items.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    print(global, &items, |items| {
        let row = |item: &wire::StockItem| {
            // The version without the hash, which `firmware info` shows.
            let firmware = item.firmware.split(' ').next().unwrap_or_default().to_owned();
            [item.batch.clone().unwrap_or_default(), item.serial.clone(), item.state.clone(), firmware]
        };
        let mut rows: Vec<[String; 4]> = items.iter().map(row).collect();
        rows.sort();
        table(["BATCH", "SERIAL", "STATE", "FIRMWARE"], &rows)
    })
}
