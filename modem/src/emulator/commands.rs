//! What the emulated modem answers to each command.

use super::machine::{End, Machine, Registers};

const IMSI: &str = "228010000000011";
const REGISTRATIONS: [&str; 3] = ["+CREG", "+CGREG", "+CEREG"];
const LOCKED_MESSAGE: &str = "+CMS ERROR: 311";
const LOCKED_EQUIPMENT: &str = "+CME ERROR: 11";
const EMPTY_PLACE: &str = "+CMS ERROR: 321";
const WRONG_PASSWORD: &str = "+CME ERROR: 16";
const WRONG_PARAMETER: &str = "+CMS ERROR: 304";
const NOT_SUPPORTED: &str = "+CMS ERROR: 303";

type Answer = (Vec<String>, End);

fn ok() -> Answer {
    (Vec::new(), End::Ok)
}

fn said(line: impl Into<String>) -> Answer {
    (vec![line.into()], End::Ok)
}

fn error(error: &str) -> Answer {
    (Vec::new(), End::Error(error.to_owned()))
}

impl Machine {
    /// One command, without `AT`.
    pub(super) fn respond(&mut self, command: &str) -> Answer {
        let upper = command.to_ascii_uppercase();
        let (name, argument) = match upper.split_once('=') {
            Some((name, "?")) => return self.test(name),
            Some((name, _)) => (name.to_owned(), command.get(name.len() + 1..).unwrap_or("").to_owned()),
            None => (upper.clone(), String::new()),
        };
        if let Some(answer) = self.locked(&name) {
            return answer;
        }
        let answer = self.identity(&upper).or_else(|| self.basic(&upper));
        let answer = answer.or_else(|| self.registration(&name, &argument));
        let answer = answer.or_else(|| self.message(&name, &argument));
        answer.or_else(|| self.equipment(&name, &argument)).unwrap_or_else(|| error("ERROR"))
    }

    /// What a SIM that waits for its PIN refuses.
    fn locked(&self, name: &str) -> Option<Answer> {
        let needs_sim = ["+CMGS", "+CSCA", "+CSCA?", "+CNMI", "+CPMS", "+CPMS?", "+CMGL", "+CMGR", "+CMGD"];
        if !self.sim.is_locked() {
            return None;
        }
        match name {
            "+CIMI" => Some(error(LOCKED_EQUIPMENT)),
            name if needs_sim.contains(&name) => Some(error(LOCKED_MESSAGE)),
            _ => None,
        }
    }

    fn test(&self, name: &str) -> Answer {
        match name {
            "+CNMI" => said(self.persona.notify_test),
            "+CPMS" => said(format!("+CPMS: {}", self.persona.memories)),
            "+CMGF" => said("+CMGF: (0)"),
            "+CSCS" => said("+CSCS: (\"GSM\",\"IRA\",\"UCS2\")"),
            "+CSMS" => said("+CSMS: (0)"),
            "+CMEE" => said("+CMEE: (0-1)"),
            "+CFUN" => said("+CFUN: (0,1,4),(0,1)"),
            "+CREG" | "+CGREG" | "+CEREG" => said(format!("{name}: (0-2)")),
            "+CMGS" | "+CMGR" | "+CMGD" | "+CMGL" | "+CPIN" => ok(),
            _ => error("ERROR"),
        }
    }

    fn identity(&self, command: &str) -> Option<Answer> {
        let persona = self.persona;
        if command == persona.iccid.0 {
            return Some(said(persona.iccid.1));
        }
        if let Some((asked, answer)) = persona.attempts
            && asked == command
        {
            return Some(said(answer.replace('#', &self.sim.attempts().to_string())));
        }
        Some(match command {
            "+CGMI" | "+GMI" => said(persona.manufacturer),
            "+CGMM" | "+GMM" => said(persona.model),
            "+CGMR" | "+GMR" => said(persona.revision),
            "+CGSN" | "+GSN" => said(persona.imei),
            "+CIMI" => said(IMSI),
            "+GCAP" => said("+GCAP: +CGSM"),
            "I" => (vec![persona.manufacturer.to_owned(), persona.model.to_owned()], End::Ok),
            _ => return None,
        })
    }

    fn basic(&mut self, command: &str) -> Option<Answer> {
        if self.persona.calm == Some(command) {
            self.registers.calm = true;
            return Some(ok());
        }
        match command {
            "E0" => self.registers.echo = false,
            "E" | "E1" => self.registers.echo = true,
            "Z" | "&F" => {
                let registers = Registers { calm: self.registers.calm, ..Registers::default() };
                self.registers = registers;
            }
            "" | "V1" | "Q0" | "X4" | "&C1" | "&D2" | "H" | "+CNMA" => {}
            _ => return None,
        }
        Some(ok())
    }

    fn registration(&mut self, name: &str, argument: &str) -> Option<Answer> {
        let asked = name.strip_suffix('?');
        let index = REGISTRATIONS.iter().position(|known| *known == asked.unwrap_or(name))?;
        let mode = &mut self.registers.registration_mode[index];
        if asked.is_some() {
            let stat = if self.sim.is_locked() || self.registers.function != 1 { 0 } else { 1 };
            let cell = if *mode == 2 { ",\"00C3\",\"0001A2B3\"" } else { "" };
            return Some(said(format!("{}: {mode},{stat}{cell}", REGISTRATIONS[index])));
        }
        match argument.parse() {
            Ok(wanted @ 0..=2) => {
                *mode = wanted;
                Some(ok())
            }
            _ => Some(error("ERROR")),
        }
    }

    fn message(&mut self, name: &str, argument: &str) -> Option<Answer> {
        Some(match (name, argument) {
            ("+CMGF", "0") | ("+CSMP" | "+CMGD" | "+CMGL", _) => ok(),
            ("+CMGF?", _) => said("+CMGF: 0"),
            ("+CMGF", _) => error(NOT_SUPPORTED),
            ("+CMGS", length) => match length.parse() {
                Ok(length) => (Vec::new(), End::Prompt(length)),
                Err(_) => error(WRONG_PARAMETER),
            },
            ("+CSMS", "0") => said("+CSMS: 1,1,1"),
            ("+CSMS?", _) => said("+CSMS: 0,1,1,1"),
            ("+CMMS", _) => ok(),
            ("+CNMI?", _) => said(format!("+CNMI: {}", self.registers.notify)),
            ("+CNMI", wanted) => {
                let report = wanted.split(',').nth(3).map_or(Ok(0), str::parse);
                if report.is_ok_and(|ds: u8| self.persona.notify_takes.contains(&ds)) {
                    wanted.clone_into(&mut self.registers.notify);
                    ok()
                } else {
                    error("+CMS ERROR: 302")
                }
            }
            ("+CPMS?", _) => said("+CPMS: \"SM\",0,20,\"SM\",0,20,\"SM\",0,20"),
            ("+CPMS", _) => said("+CPMS: 0,20,0,20,0,20"),
            ("+CMGR", _) => error(EMPTY_PLACE),
            ("+CSCA?", _) => said(format!("+CSCA: \"{}\",145", self.smsc)),
            ("+CSCA", wanted) => {
                wanted.split('"').nth(1).unwrap_or(wanted).clone_into(&mut self.smsc);
                ok()
            }
            _ => return None,
        })
    }

    fn equipment(&mut self, name: &str, argument: &str) -> Option<Answer> {
        Some(match (name, argument) {
            ("+CPIN?", _) => said(format!("+CPIN: {}", self.sim.state())),
            ("+CPIN", pin) => {
                if self.sim.enter(pin.trim_matches('"')) {
                    ok()
                } else {
                    error(WRONG_PASSWORD)
                }
            }
            ("+CMEE?", _) => said(format!("+CMEE: {}", self.registers.numeric_errors)),
            ("+CMEE", mode) => {
                self.registers.numeric_errors = mode.parse().unwrap_or_default();
                ok()
            }
            ("+CFUN?", _) => said(format!("+CFUN: {}", self.registers.function)),
            ("+CFUN", function) => {
                let first = function.split(',').next().and_then(|first| first.parse().ok());
                self.registers.function = first.unwrap_or(1);
                ok()
            }
            ("+CSCS?", _) => said(format!("+CSCS: \"{}\"", self.registers.charset)),
            ("+CSCS", charset) => {
                charset.trim_matches('"').clone_into(&mut self.registers.charset);
                ok()
            }
            ("+CSQ", _) => said("+CSQ: 21,99"),
            ("+COPS?", _) => said("+COPS: 0,0,\"Emulated\""),
            ("+CGATT?", _) => said("+CGATT: 1"),
            ("+CBC", _) => said("+CBC: 0,100"),
            ("+CUSD" | "+COPS" | "^PORTSEL" | "+CLIP" | "+CRC", _) => ok(),
            _ => return None,
        })
    }
}
