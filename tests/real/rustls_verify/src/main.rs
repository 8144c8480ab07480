//! Verifies a chain the way every rustls client does (webpki): main CA.pem CHAIN.pem NAME.
//!
//! Exit 0: accepted. Exit 1: refused, the reason on standard output. Exit 2: could not be asked.

use std::{error::Error, process::ExitCode};

use rustls_pki_types::{pem::PemObject, CertificateDer, ServerName, UnixTime};
use webpki::{anchor_from_trusted_cert, EndEntityCert, KeyUsage, ALL_VERIFICATION_ALGS};

/// `Ok(Some(reason))` is a refusal; an error means that there was nothing to judge.
fn judge() -> Result<Option<String>, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ca, chain, name] = arguments.as_slice() else {
        return Err("usage: main CA.pem CHAIN.pem NAME".into());
    };
    let name = ServerName::try_from(name.as_str())?;
    let root = CertificateDer::from_pem_file(ca)?;
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let (leaf, intermediates) = chain.split_first().ok_or("no certificate in the chain")?;
    let verdict = anchor_from_trusted_cert(&root).and_then(|anchor| {
        let leaf = EndEntityCert::try_from(leaf)?;
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &[anchor],
            intermediates,
            UnixTime::now(),
            KeyUsage::server_auth(),
            None,
            None,
        )?;
        leaf.verify_is_valid_for_subject_name(&name)
    });
    Ok(verdict.err().map(|reason| format!("{reason:?}")))
}

fn main() -> ExitCode {
    match judge() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(reason)) => {
            println!("{reason}");
            ExitCode::from(1)
        }
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}
