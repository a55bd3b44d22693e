// Package graphstub stands in for the part of Microsoft Graph v1.0, and of the
// Microsoft identity platform in front of it, that directory/entra needs: on
// loopback, over TLS, with sample people. Nobody has a tenant at hand for tests,
// and `postern demo --entra` needs none.
//
// It is strict where Graph is: a path, verb, property, type or query option that
// is not documented is the documented error, and every call is checked against the
// permissions and roles the application was given. It shares no code with the
// client and none of Microsoft's libraries, so that the two cannot be wrong alike.
//
// What it follows: the pages of "Microsoft Graph REST API v1.0" of each resource
// (user, passwordProfile, authenticationMethod, temporaryAccessPassAuthenticationMethod,
// unifiedRoleAssignment, unifiedRoleEligibilityScheduleInstance, organization, domain,
// userRegistrationDetails, servicePrincipal), "Microsoft Graph error responses",
// "Microsoft Graph throttling guidance", and "OAuth 2.0 client credentials flow". What
// those do not say is nowhere claimed: the texts of refusals are those people report.
//
// It is not Entra ID: nobody signs in here, nothing is replicated but by the clock,
// and licences are one switch.
package graphstub
