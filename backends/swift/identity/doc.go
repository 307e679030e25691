// Package identity finds out as whom a Swift store is opened, and logs in.
//
// Find looks for credentials in one source after another, and takes the first
// that there is; sources are never mixed:
//
//  1. the entry of clouds.yaml that the policy names (cloud);
//  2. duplicity's variables, SWIFT_* or PCA_* (multibackend spec section 5);
//  3. the entry of clouds.yaml that OS_CLOUD names;
//  4. the variables OS_*, as openrc files set them;
//  5. the variables ST_AUTH, ST_USER and ST_KEY of the swift command, for v1.
//
// With a prefix every variable is looked for under its name with the prefix in
// front, and nowhere else, so that no two stores share credentials by mistake.
// Only OS_CLIENT_CONFIG_FILE, which says where and not who, is then looked for
// without it too.
//
// The identity services are v1 (TempAuth and the old Cloud Files), v2 and v3 of
// Keystone; a token may also be given as it is.
package identity
