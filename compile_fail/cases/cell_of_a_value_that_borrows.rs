// E0597: `local` does not live long enough

fn main() {
    let lasting = sexton::RcuCell::<&str>::new("lasting");
    {
        let local = String::from("not lasting");
        lasting.store(&local); // WRONG
        assert_eq!(local.len(), 11);
    }
    assert_eq!(lasting.load(), "lasting");
}
