# Prints an address that opens the kiosk once, within two minutes, for Windows:
#
#   powershell -File postern-launch.ps1 C:\ProgramData\Postern\kiosk.key
#
# It does what postern-launch.sh does. It was written without a Windows machine at hand and
# has not been run on one: try it before you rely on it.
param([Parameter(Mandatory)][string]$KeyFile)
$ErrorActionPreference = 'Stop'

function B64([byte[]]$bytes) { [Convert]::ToBase64String($bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_') }

$device, $key = (Get-Content -Raw $KeyFile).Trim().Split(':', 2)
$secret = [Convert]::FromBase64String($key.Replace('-', '+').Replace('_', '/') + '=')
$now = [DateTimeOffset]::UtcNow.ToUnixTimeSeconds()
$random = New-Object byte[] 16
$source = [Security.Cryptography.RandomNumberGenerator]::Create()
$source.GetBytes($random)
$nonce = B64 $random
$hmac = New-Object Security.Cryptography.HMACSHA256 (, $secret)
$text = "postern launch v1`n@URL@`n$device`n$now`n$nonce"
$mac = B64 $hmac.ComputeHash([Text.Encoding]::UTF8.GetBytes($text))
"@URL@/kiosk/launch?d=$device&t=$now&n=$nonce&s=$mac"
