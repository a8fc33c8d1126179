use super::*;
use crate::scenario::Controller;

fn of(body: &str) -> Result<Scenario, ScenarioError> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n<scenario name=\"t\">\n{body}\n</scenario>"
    );
    read("t.xml", &xml, &[])
}

fn error(body: &str) -> String {
    of(body).expect_err("is refused").to_string()
}

const INVITE: &str =
    "<send retrans=\"500\"><![CDATA[\n INVITE sip:[service]@h SIP/2.0\n Call-ID: [call_id]\n]]></send>";

#[test]
fn steps_labels_and_roles() {
    let scenario = of(&format!(
        "{INVITE}<recv response=\"403\" optional=\"true\" next=\"end\"/><recv response=\"200\" rtd=\"true\"/><label id=\"end\"/><pause/>"
    ))
    .expect("good");
    assert_eq!((scenario.role, scenario.steps.len()), (Role::Client, 4));
    assert_eq!(scenario.steps[1].next, Some(3));
    assert_eq!(scenario.steps[2].rtd, Some(0));
    assert!(matches!(&scenario.steps[0].kind, Kind::Send(send) if send.start.is("INVITE") && send.retrans.is_some()));
    assert!(!scenario.keeps_last && !scenario.has_audio);
    let server = of("<recv request=\"INVITE\"/><send>\nSIP/2.0 200 OK\n[last_Via:]\n</send>").expect("good");
    assert_eq!((server.role, server.keeps_last), (Role::Server, true));
}

#[test]
fn errors_have_file_line_and_element() {
    assert_eq!(error("\n<sned/>").split(": this").next(), Some("t.xml:5: <sned>"));
    for (body, expected) in [
        ("<recv/>", "exactly one of request"),
        ("<recv response=\"2oo\"/>", "a status from 100 to 699"),
        (
            "<recv response=\"200\" optinal=\"true\"/>",
            "attribute optinal=\"true\" is not supported",
        ),
        ("<recv response=\"200\" optional=\"maybe\"/>", "true, false or global"),
        ("<recv response=\"200\" next=\"9\"/>", "there is no <label id=\"9\"/>"),
        ("<pause distribution=\"weibull\"/>", "uniform, normal or exponential"),
        ("<pause milliseconds=\"x\"/>", "a number is expected"),
        ("<send>hello</send>", "request line"),
        ("<send>\nBYE sip:[nobody] SIP/2.0\n</send>", "unknown keyword [nobody]"),
        (
            "<nop><action><ereg regexp=\"(\" assign_to=\"1\"/></action></nop>",
            "no regular expression",
        ),
        (
            "<nop><action><exec command=\"rm\"/></action></nop>",
            "attribute command=\"rm\" is not supported",
        ),
        (
            "<nop><action><exec rtp_stream=\"none.wav\"/></action></nop>",
            "no file none.wav",
        ),
        ("<label id=\"1\"/><label id=\"1\"/>", "stands twice"),
        ("<pause/>", "no <send> and no <recv>"),
        ("<sendCmd/>", "the text of a command is expected"),
        (
            "<sendCmd dest=\"s1\">x</sendCmd>",
            "dest=\"s1\" belongs to the extended mode",
        ),
        ("<recvCmd src=\"m\"/>", "src=\"m\" belongs to the extended mode"),
        ("<recvCmd ontimeout=\"1\"/>", "there is no <label id=\"1\"/>"),
        (
            "<sendCmd>x<action><log message=\"\"/></action></sendCmd>",
            "recv, recvCmd and nop only",
        ),
        (
            "<Global variables=\"x\"/><User variables=\"y,x\"/>",
            "variable x cannot be both",
        ),
    ] {
        let text = error(body);
        assert!(text.starts_with("t.xml:") && text.contains(expected), "{body}: {text}");
    }
    let text = read("b.xml", "<scenario>\n<send>\n</scenario>", &[])
        .expect_err("broken")
        .to_string();
    assert!(text.starts_with("b.xml:3: no well-formed XML"), "{text}");
}

#[test]
fn variables_of_the_run_are_noticed() {
    let body = "<Global variables=\"sum\"/><recv request=\"OPTIONS\"><action><add assign_to=\"sum\" value=\"1\"/></action></recv>";
    assert!(of(body).expect("good").writes_globals);
    assert!(
        !of("<recv request=\"OPTIONS\"><action><assign assign_to=\"1\" value=\"1\"/></action></recv>")
            .expect("good")
            .writes_globals
    );
}

#[test]
fn controllers_of_third_party_calls() {
    let command = "<sendCmd>Call-ID: [call_id]</sendCmd>";
    let parts = |body: &str| {
        let scenario = of(body).expect("good");
        (
            scenario.controller,
            scenario.role,
            scenario.by_command,
            scenario.calls_target,
        )
    };
    let a = format!("{INVITE}<recv response=\"200\"/>{command}<recvCmd/>");
    assert_eq!(parts(&a), (Some(Controller::A), Role::Client, false, true));
    let b = format!("<pause/><recvCmd/>{INVITE}{command}");
    assert_eq!(parts(&b), (Some(Controller::B), Role::Server, true, true));
    let passive = format!("<recv request=\"INVITE\"/>{command}<recvCmd/>");
    assert_eq!(parts(&passive), (Some(Controller::A), Role::Server, false, false));
    assert_eq!(parts(INVITE), (None, Role::Client, false, true));
    let reads = "<recvCmd><action><ereg regexp=\"x\" search_in=\"msg\" assign_to=\"1\"/></action></recvCmd>";
    assert!(!of(reads).expect("good").keeps_last, "it reads the command");
}
