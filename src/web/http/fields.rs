//! What is wrong with the fields of a form about an account.

/// What is wrong with the fields of a form, each said in one sentence beside its field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    /// Of the whole form.
    pub form: Option<String>,
    /// Of `email`.
    pub email: Option<String>,
    /// Of `name`.
    pub name: Option<String>,
    /// Of `current_password`.
    pub current_password: Option<String>,
    /// Of `password`.
    pub password: Option<String>,
    /// Of `password_again`.
    pub password_again: Option<String>,
    /// Of `groups`.
    pub groups: Option<String>,
}

impl FieldErrors {
    /// Whether anything is wrong.
    pub fn any(&self) -> bool {
        *self != FieldErrors::default()
    }
}
