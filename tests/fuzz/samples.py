"""Small texts of generators, and YAML, that are whole."""

LHE = """<LesHouchesEvents version="3.0">
<header>
<initrwgt><weightgroup name="s"><weight id="1"> muR=1 </weight></weightgroup></initrwgt>
</header>
<init>
2212 2212 6500.0 6500.0 0 0 247000 247000 -4 1
12.5 0.25 12.5 7
</init>
{events}</LesHouchesEvents>
"""
LHE_EVENT = """<event>
4 7 0.5 91.2 0.0078 0.118
2 -1 0 0 501 0 0.0 0.0 100.0 100.0 0.0 0.0 9.0
-2 -1 0 0 0 501 0.0 0.0 -20.8 20.8 0.0 0.0 9.0
13 1 1 2 0 0 30.0 34.3 39.6 60.4 0.10566 0.0 -1.0
-13 1 1 2 0 0 -30.0 -34.3 39.6 60.4 0.10566 0.0 1.0
<rwgt>
<wgt id='1'> 0.5 </wgt>
</rwgt>
</event>
"""
HEPMC3 = """HepMC::Version 3.02.05
HepMC::Asciiv3-START_EVENT_LISTING
W 2
N Default\\|up
{events}HepMC::Asciiv3-END_EVENT_LISTING

"""
HEPMC3_EVENT = """E {number} 2 5
U MEV CM
W 2.0 2.5
A 0 signal_process_id 221
P 1 0 2212 0 0 6500000 6500000 0 4
P 2 0 2212 0 0 -6500000 6500000 0 4
V -1 0 [1,2] @ 0.1 0.2 1.0 2.0
P 3 -1 23 3000 4000 0 91300 91150 22
P 4 3 13 3000 45000 0 46000 105.66 1
P 5 3 -13 0 -41000 0 45300 105.66 1
"""
HEPMC2 = """HepMC::Version 2.06.09
HepMC::IO_GenEvent-START_EVENT_LISTING
{events}HepMC::IO_GenEvent-END_EVENT_LISTING
"""
HEPMC2_EVENT = """E {number} -1 91.2 0.118 0.0078 221 0 2 10001 10002 1 5 2 1.5 2.5
N 2 "Default" "scale up"
U GEV MM
V -1 0 1 2 3 4 2 1 0
P 10001 2212 0 0 6500 6500 0 4 0 0 -1 0
P 10002 2212 0 0 -6500 6500 0 4 0 0 -1 0
P 10003 23 3 4 0 91.3 91.15 22 0 0 -2 0
V -2 0 5 6 7 8 0 2 0
P 10004 13 3 45 0 46 0.10566 1 0 0 0 1 1 501
P 10005 -13 0 -41 0 45.3 0.10566 1 0 0 0 0
"""
MAPPING = """kind: jets
unit: GeV
fields:
  pt: pt
  eta: eta
  phi: phi
  mass: mass
  constituents: {pt: c_pt, eta: c_eta, phi: c_phi}
label: {top: is_top, qcd: is_qcd}
"""
WEAVER = """treename: null
selection: pt > 100
new_variables:
  pf_mask: ones_like(c_pt)
inputs:
  pf_points:
    length: 8
    vars: [c_eta, c_phi]
  pf_features:
    length: 8
    vars:
      - [c_pt, 1.7, 0.7, -5, 5, 0]
      - [c_eta, null]
labels:
  type: simple
  value: [is_top, is_qcd]
observers: [pt, eta]
weights:
  use_precomputed_weights: false
  reweight_method: flat
"""
