//! Power loss: the store is on an ext4 file system of its own, whose backing file is copied at a random
//! moment while tokens are redeemed. The copy is what the disk would hold if the power failed at that
//! moment: what was not fsynced is not in it. The node is stopped first, or a copy that takes a while could have
//! a later write without an earlier one, which no disk does that obeys fsync. The node starts on the copy, and
//! every token that was delivered before the copy began is replayed.
//!
//! Not modeled: a drive that lies about its cache. More rounds: `ONCELINK_TEST_POWER_CUTS=200`.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::needs::variable;
use crate::support::pattern;
use crate::support::process::{Dice, Site, Ticket, pause, run, say, signal, under_load};
use crate::support::volume::{Volume, can_mount, make_image};

const CLIENTS: usize = 6;

#[test]
fn what_was_delivered_before_a_power_cut_is_never_served_again() {
    if !can_mount() {
        return;
    }
    let cuts: u64 = variable("ONCELINK_TEST_POWER_CUTS").map_or(8, |text| text.parse().expect("a number"));
    let mut dice = Dice::new(5);
    let disk = TempDir::new().unwrap();
    let root = disk.path().join("root");
    let image = |number: u64| disk.path().join(format!("{number}.img"));
    make_image(&image(0), 48);
    let site = Site::with_data(TempDir::new().unwrap(), root.join("data"));
    let mut delivered: Vec<Ticket> = Vec::new();
    for cut in 0..=cuts {
        let volume = Volume::mount(&image(cut), &root);
        // Data that was not fsynced must be lost, or this test would find nothing.
        let unsynced = volume.root.join("unsynced");
        assert_ne!(fs::read(&unsynced).unwrap_or_default(), pattern(4096));
        let node = site.start();
        // The copy has the inodes and creation times of the original, so it must not even raise the fence.
        site.assert_used(&delivered);
        site.redeem(1);
        let (_, before) = under_load(&site, CLIENTS, |seen| {
            pause(Duration::from_millis(20 + dice.below(150)));
            fs::write(&unsynced, pattern(4096)).unwrap();
            let before = seen.lock().unwrap().clone();
            signal(node.id(), Signal::STOP);
            run("cp", &["--sparse=always", image(cut).to_str().unwrap(), image(cut + 1).to_str().unwrap()]);
            node.kill();
            before
        });
        delivered.extend(before);
        drop(volume);
        fs::remove_file(image(cut)).unwrap();
    }
    assert!(!site.log().contains("cannot be trusted"), "{}", site.log());
    assert!(delivered.len() as u64 > cuts * 3, "only {} tokens: too little load", delivered.len());
    say(&format!("{cuts} power cuts, {} tokens redeemed before them, none served twice", delivered.len()));
}
