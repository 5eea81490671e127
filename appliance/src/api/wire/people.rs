//! The API's JSON about operators and acts of two persons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who the appliance takes the caller for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// `operator` or `application`.
    pub kind: String,
    /// Name of the user or the application; `uid N` for break-glass.
    pub name: String,
    /// An operator's roles.
    pub roles: Vec<String>,
    /// For which organisations roles were given; one that is not here, for all.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// What the caller may do.
    pub rights: Vec<String>,
    /// Whether it is root, or whoever the daemon runs as: every right, and a mark in each event.
    pub break_glass: bool,
}

/// Which organisation a user belongs to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Membership {
    /// Name of the user.
    pub user: String,
    /// The organisation; null where no authority has said.
    pub organisation: Option<String>,
}

/// The organisation that a user belongs to from now on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMembership {
    /// Its name.
    pub organisation: String,
}

/// An operator to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// Name of the user, who is added where there is none.
    pub name: String,
    /// The uid on the local socket.
    pub uid: u32,
    /// `admin`, `technician`, `helpdesk`, `auditor`, `ra`, `raa`, `sraa`.
    pub roles: Vec<String>,
    /// Organisations for which `ra` and `raa` are given; all by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
}

/// An operator.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Operator {
    /// Name.
    pub name: String,
    /// The uid on the local socket; null once revoked.
    pub uid: Option<u32>,
    /// What the operator is.
    pub roles: Vec<String>,
    /// For which organisations roles were given; one that is not here, for all.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Organisations beyond which the configuration lets no role reach; null for none.
    #[serde(default)]
    pub bounds: Option<Vec<String>>,
    /// What the roles may do.
    pub rights: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; null while the operator is one.
    pub revoked_at: Option<String>,
}

/// A role to give.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleGift {
    /// As in a new operator.
    pub role: String,
    /// Organisations for which `ra` or `raa` is given; all by default. A role that is there is given for these instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
}

/// An act that waits for a second person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The handle that the second person names.
    pub approval: String,
    /// `waiting`.
    pub state: String,
    /// RFC 3339.
    pub expires_at: String,
}

/// An act of two persons.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// The handle.
    pub approval: String,
    /// Which act, such as `token.assign`.
    pub act: String,
    /// With which arguments.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
    /// `waiting`, `approved`, `denied`, `expired` or `done`.
    pub state: String,
    /// Who asked.
    pub requested_by: String,
    /// RFC 3339.
    pub requested_at: String,
    /// RFC 3339; counted anew from a yes.
    pub expires_at: String,
    /// Who said yes or no.
    pub decided_by: Option<String>,
    /// RFC 3339.
    pub decided_at: Option<String>,
}

/// A batch to open.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// Its name.
    pub name: String,
}

/// A batch whose tokens may be provisioned.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenBatch {
    /// Its name.
    pub name: String,
    /// `open`.
    pub state: String,
    /// RFC 3339; null where batches need no opening.
    pub until: Option<String>,
}
