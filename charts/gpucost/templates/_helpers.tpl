{{/* Names and labels that every object shares. */}}

{{- define "gpucost.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "gpucost.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "gpucost.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gpucost.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gpucost.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gpucost.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gpucost.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gpucost.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gpucost.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "gpucost.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: gpucost
{{- end }}

{{- define "gpucost.leaseName" -}}
{{- .Values.settings.leaseName | default "gpucost-operator" }}
{{- end }}

{{/* The volume of the ledger is needed only by SQLite. */}}
{{- define "gpucost.onVolume" -}}
{{- if and (not .Values.ledger.urlSecret.name) (or (not .Values.ledger.url) (hasPrefix "sqlite" .Values.ledger.url)) }}true{{ end }}
{{- end }}

{{- define "gpucost.claimName" -}}
{{- .Values.ledger.persistence.existingClaim | default (printf "%s-ledger" (include "gpucost.fullname" .)) }}
{{- end }}

{{/* The agent's own labels: the operator's Service must not find its pods, and the operator looks for just this name. */}}
{{- define "gpucost.agentName" -}}
{{- printf "%s-agent" (include "gpucost.fullname" .) }}
{{- end }}

{{- define "gpucost.agentSelectorLabels" -}}
app.kubernetes.io/name: gpucost-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "gpucost.agentLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "gpucost.agentSelectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: gpucost
{{- end }}
