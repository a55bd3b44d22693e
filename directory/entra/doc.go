// Package entra is the dialect of Microsoft Entra ID: Microsoft Graph v1.0, called
// as an application. It is the only importer of msgraph-sdk-go and azidentity, and
// of that SDK it takes the builders of users and the models alone: the root client
// takes twice as long to compile and twice the memory. A program built with
// `-tags noentra` has none of it, and says so when a tenant is configured.
//
// What the directory will not do for an application, and is therefore not claimed:
// check a password (the flow for that is deprecated and fails with MFA), carry a true
// change with the old one, tell of smart lockout or end it by itself (a new password
// does), require a change without a new password (answered 204 and not done,
// microsoft-graph-docs issue 4267), keep a history on a reset.
//
// Whoever has a role in the tenant, may activate one, or is in a group that can bear
// one is privileged, and so is whom a restricted administrative unit protects. Guests,
// people of federated domains and people synced from elsewhere have their password
// elsewhere: the first two are refused, the last are named to directory.Set, which
// goes to the account they are copies of. Eligibility for a group by PIM for Groups
// is not seen.
//
// Groups are named by their object id and by nothing else: in most tenants anybody may
// make a group of any name.
package entra
