//! The list of `Sec-WebSocket-Extensions`, from one header or several.

use we_net::handshake::ExtensionHeader;

pub fn run(data: &[u8]) {
    // Several headers make one list.
    let values = data.split(|byte| *byte == b'\n');
    let Ok(list) = ExtensionHeader::parse_list(values) else {
        return;
    };
    assert!(list.len() <= data.len());
    let header = ExtensionHeader::format_list(&list);
    assert!(
        header
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..0x7F).contains(&byte))
    );
    let again = ExtensionHeader::parse_list([header.as_bytes()]);
    assert_eq!(again.as_ref(), Ok(&list), "{header}");
}
